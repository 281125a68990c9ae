//! Test tools of filch: the drop-at-every-poll harness and its kin
