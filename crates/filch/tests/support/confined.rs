//! Programs that have confined themselves.

use std::io;

/// From now on a system call is refused to this thread, and those that it starts, with this error. Says why if that
/// cannot be had.
pub fn refuse(call: libc::c_long, error: i32) -> io::Result<()> {
    let code = |code: u32, jump_if_so, jump_if_not, value: u32| libc::sock_filter {
        code: code as u16,
        jt: jump_if_so,
        jf: jump_if_not,
        k: value,
    };
    let refused = libc::SECCOMP_RET_ERRNO | error as u32;
    let mut filter = [
        // The number of the call: the first thing that is told of it.
        code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        code(libc::BPF_RET | libc::BPF_K, 0, 0, refused),
        code(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: no pointers.
    let promised = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: a program of so many steps, which is there for the call.
    if promised != 0 || unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) } != 0
    {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
