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
    str::CStr, //
};

mod file;
mod flb;

pub use self::file::{
    Binding,
    FileHandler,
    Handler,
    Registration,
    Retrieval, //
};
pub use self::flb::{
    FileLifecycleBound,
    Flb,
    IncomingRef,
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
