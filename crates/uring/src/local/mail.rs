//! What other threads ask of a driver's own.

use super::Local;
use crate::cell::Message;
use std::collections::HashSet;

impl Local {
    /// Does what other threads asked for.
    pub(super) fn read_mail(&self, closing: bool) {
        let home = self.home();
        if !home.has_mail() {
            return;
        }
        // Taken first and done last. A cancel that a rescuer took came behind the submission it is for: so that
        // is in the inbox now, or was read before.
        let mut requests = Vec::new();
        home.rescuers.take_requests(&mut requests);
        #[cfg(all(test, not(filch_loom)))]
        super::tests::meanwhile();
        let mut mail = self.mail.take();
        home.inbox.drain(&mut mail);
        home.counters.messages.add(mail.len() as u64);
        mail.append(&mut requests);
        // A set, because there may be thousands. Allocates nothing while it is empty.
        let mut finished = HashSet::new();
        for message in mail.drain(..) {
            match message {
                Message::Submit(key) | Message::SubmitHere(key)
                    if !self.owner.runs_to_its_end(key)
                        && (closing || self.owner.is_unwanted(key)) =>
                {
                    self.in_flight.set(self.in_flight.get() + 1);
                    self.finish_unsubmitted(key.user_data());
                    finished.insert(key);
                }
                Message::Submit(key) | Message::SubmitHere(key) => {
                    self.stage(self.owner.entry(key));
                }
                // A shutdown cancels what does not run to its end anyhow.
                Message::Cancel(key) if closing && !self.owner.runs_to_its_end(key) => {}
                // Dropped before it was staged, and found so a moment ago: nothing to cancel.
                Message::Cancel(key) if finished.contains(&key) => {}
                Message::Cancel(key) => self.cancel(key),
            }
        }
        self.mail.replace(mail);
    }
}
