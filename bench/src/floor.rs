//! What the machine needs for the same work if nobody decides anything: starting the same programs and waiting for
//! them, and asking once for each declared file.

use std::ffi::CString;
use std::io;

/// Starts `program` for each of `n` tasks, `jobs` at a time, with the task's two files as arguments if it `copies`.
pub fn spawn(program: &str, n: usize, jobs: usize, copies: bool) -> io::Result<()> {
    let program = CString::new(program)?;
    let mut running = 0;
    for i in 1..=n {
        let mut words = vec![program.clone()];
        if copies {
            words.push(CString::new(format!("in/{i}.txt"))?);
            words.push(CString::new(format!("out/{i}.txt"))?);
        }
        start(&program, &words)?;
        running += 1;
        if running == jobs {
            wait()?;
            running -= 1;
        }
    }
    (0..running).try_for_each(|_| wait())
}

fn start(program: &CString, words: &[CString]) -> io::Result<()> {
    let mut argv: Vec<*mut libc::c_char> = words.iter().map(|w| w.as_ptr().cast_mut()).collect();
    argv.push(std::ptr::null_mut());
    let envp = [std::ptr::null_mut()];
    let mut pid = 0;
    // SAFETY: all pointers are to live strings and to lists of them that end with null.
    let code = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            argv.as_ptr(),
            envp.as_ptr(),
        )
    };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

fn wait() -> io::Result<()> {
    let mut status = 0;
    // SAFETY: the pointer is to a live integer.
    match unsafe { libc::waitpid(-1, &raw mut status, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ if status == 0 => Ok(()),
        _ => Err(io::Error::other("a child failed")),
    }
}

/// Asks for the input and the output of each of `n` tasks.
pub fn stat(n: usize) -> io::Result<()> {
    for i in 1..=n {
        std::fs::metadata(format!("in/{i}.txt"))?;
        std::fs::metadata(format!("out/{i}.txt"))?;
    }
    Ok(())
}
