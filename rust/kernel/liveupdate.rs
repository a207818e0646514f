// SPDX-License-Identifier: GPL-2.0

//! The Live Update Orchestrator (LUO): files that survive the replacement of the kernel by kexec.
//!
//! Userspace preserves files in a session, replaces the kernel, retrieves the files, and finishes
//! the session. Drivers take part in two ways:
//!
//! - A [`FileHandler`] saves and restores one kind of file.
//! - [Data that is bound to the lifecycle of files](Flb) is what all files of one or more handlers
//!   share. It is saved when the first of them is preserved, and given back when the last of them
//!   is finished.
//!
//! What is handed over lies in memory that [`kho`](crate::kho) preserves.
//!
//! C header: [`include/linux/liveupdate.h`](srctree/include/linux/liveupdate.h)

use crate::{
    bindings,
    ffi::c_char,
    fs::File,
    str::CStr, //
};

mod file;
mod flb;

pub use self::file::{
    Binding,
    FileHandler,
    Handler,
    KeepsNoFile,
    Registration,
    Retrieval, //
};
pub use self::flb::{
    FileLifecycleBound,
    Flb,
    IncomingRef,
    Outgoing,
    OutgoingRef, //
};

/// Tells whether live update is enabled (`liveupdate=on`).
///
/// Without it, files can't be preserved, and nothing that was handed over can be retrieved.
#[inline]
pub fn enabled() -> bool {
    // SAFETY: FFI call without requirements.
    unsafe { bindings::liveupdate_enabled() }
}

/// Has a file forgotten that is released, or whose object goes away.
///
/// LUO gives back its reference to it, if it has one, and calls its handler without a file from
/// then on. See [`FileHandler::KEEPS_NO_FILE`] and [`FileHandler::is_gone`].
///
/// Context: May sleep.
#[inline]
pub fn forget(file: &File) {
    // SAFETY: The file is valid, as it is borrowed.
    unsafe { bindings::liveupdate_forget_file(file.as_ptr()) };
}

/// Has LUO do what is left to do for users who are gone, now that a file may be finished, or is
/// gone.
///
/// Sessions that were closed unfinished are finished if all of their files were retrieved and
/// [may finish](FileHandler::can_finish).
///
/// Context: May sleep. Not to be called by a handler's own functions, nor with anything locked that
/// these lock.
#[inline]
pub fn settle() {
    // SAFETY: FFI call without requirements.
    unsafe { bindings::liveupdate_settle() };
}

/// Puts a name into the field of a C structure, nul-terminated.
const fn compatible<const N: usize>(name: &CStr) -> [c_char; N] {
    let bytes = name.to_bytes();
    let mut field = [0; N];
    let mut i = 0;

    assert!(bytes.len() < N, "the name is too long");
    while i < bytes.len() {
        field[i] = bytes[i] as c_char;
        i += 1;
    }
    field
}
