// SPDX-License-Identifier: GPL-2.0

//! Data that is bound to the lifecycle of files.

use super::compatible;
use crate::{
    bindings,
    error::{
        from_err_ptr,
        from_result,
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    kho::Handle,
    module::this_module,
    prelude::*,
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};
use core::{
    marker::PhantomData,
    ops::Deref,
    pin::Pin,
    ptr::NonNull, //
};

/// Data that is shared by files that survive a live update.
///
/// It has two sides. The [outgoing](FileLifecycleBound::Outgoing) object is there while at least
/// one file is preserved that the data is [bound](super::Binding::add) for. The
/// [incoming](FileLifecycleBound::Incoming) object is there from when somebody asks for it until
/// all files are finished and all references are given back. Both can be there at once.
///
/// What ends is dropped: the outgoing object when its last file is unpreserved, the incoming one
/// when its last file is finished. LUO holds a mutex meanwhile, and in all of the functions below
/// but [`files_finished`](FileLifecycleBound::files_finished); it takes the same mutex to get or
/// put a reference. So a lock that is held while a reference is got or put must not be taken in any
/// of these.
///
/// # Examples
///
/// A number that all files of some kind share:
///
/// ```
/// use kernel::{
///     kho::{Handle, Preserved, Restored},
///     liveupdate::{FileLifecycleBound, Flb},
///     prelude::*,
/// };
///
/// struct Number;
///
/// #[vtable]
/// impl FileLifecycleBound for Number {
///     const COMPATIBLE: &'static CStr = c"rust-doctest-number-v1";
///     type Outgoing = Preserved<u64>;
///     type Incoming = Restored<u64>;
///
///     fn preserve() -> impl PinInit<Preserved<u64>, Error> {
///         Preserved::new(42)
///     }
///
///     fn handle(outgoing: &Preserved<u64>) -> Handle {
///         outgoing.handle()
///     }
///
///     fn retrieve(handle: Handle) -> impl PinInit<Restored<u64>, Error> {
///         Restored::restore(handle)
///     }
/// }
///
/// static NUMBER: Flb<Number> = Flb::new();
///
/// // It isn't registered for any file handler, so no file is preserved that it is bound to.
/// assert!(NUMBER.outgoing().is_err());
/// // And no kernel before this one left it.
/// assert!(NUMBER.incoming().is_err());
/// # Ok::<(), Error>(())
/// ```
#[vtable]
pub trait FileLifecycleBound: 'static {
    /// The name by which the next kernel finds the data; changes with its format.
    const COMPATIBLE: &'static CStr;

    /// What this kernel hands over.
    type Outgoing: Send + Sync + 'static;

    /// What this kernel was handed.
    type Incoming: Send + Sync + 'static;

    /// Called when the first file is preserved.
    ///
    /// An error makes it fail to preserve the file.
    ///
    /// Context: May sleep. LUO's mutex of the outgoing side is held.
    fn preserve() -> impl PinInit<Self::Outgoing, Error>;

    /// Where the next kernel finds `outgoing`.
    ///
    /// Called once, after [`preserve`](FileLifecycleBound::preserve).
    fn handle(outgoing: &Self::Outgoing) -> Handle;

    /// Called when a kexec is under way, before the first file is frozen.
    ///
    /// From now on no file is preserved or unpreserved any more. An error calls off the kexec.
    ///
    /// Context: May sleep. LUO's mutex of the outgoing side is held.
    fn freeze(_outgoing: &Self::Outgoing) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Undoes [`freeze`](FileLifecycleBound::freeze): the kexec was called off.
    ///
    /// Context: May sleep. LUO's mutex of the outgoing side is held.
    fn unfreeze(_outgoing: &Self::Outgoing) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called when somebody asks for the incoming object for the first time.
    ///
    /// An error is not fatal: whoever [asks](IncomingRef::object) gets the same error, until the
    /// last file is finished. To LUO it looks as if all was well, for it would warn otherwise.
    ///
    /// Context: May sleep. LUO's mutex of the incoming side is held.
    fn retrieve(handle: Handle) -> impl PinInit<Self::Incoming, Error>;

    /// Called once, when the last file is finished, unless [`retrieve`] gave an error.
    ///
    /// Others may have references to the object, and get more.
    ///
    /// Context: May sleep. LUO's mutex of the incoming side is not held, but the one of the file
    /// and of its session are, and its lock of all registrations.
    ///
    /// [`retrieve`]: FileLifecycleBound::retrieve
    fn files_finished(_incoming: &Self::Incoming) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The registration data of a [`FileLifecycleBound`], to be put into a `static`.
///
/// Wraps the kernel's `struct liveupdate_flb`.
///
/// # Invariants
///
/// - `inner` is only given to LUO, together with the callbacks of `T`.
/// - The outgoing object that LUO keeps is a `Pin<KBox<T::Outgoing>>`.
/// - The incoming object that LUO keeps is a `Pin<KBox<T::Incoming>>`, or an errno as `ERR_PTR()`
///   makes a pointer of it.
pub struct Flb<T: FileLifecycleBound> {
    inner: Opaque<bindings::liveupdate_flb>,
    _data: PhantomData<T>,
}

// SAFETY: LUO serialises all accesses to `inner`.
unsafe impl<T: FileLifecycleBound> Sync for Flb<T> {}

impl<T: FileLifecycleBound> Flb<T> {
    const OPS: bindings::liveupdate_flb_ops = bindings::liveupdate_flb_ops {
        preserve: Some(Self::preserve_callback),
        unpreserve: Some(Self::unpreserve_callback),
        freeze: if T::HAS_FREEZE {
            Some(Self::freeze_callback)
        } else {
            None
        },
        unfreeze: if T::HAS_UNFREEZE {
            Some(Self::unfreeze_callback)
        } else {
            None
        },
        retrieve: Some(Self::retrieve_callback),
        files_finished: if T::HAS_FILES_FINISHED {
            Some(Self::files_finished_callback)
        } else {
            None
        },
        finish: Some(Self::finish_callback),
        owner: this_module::<T::OwnerModule>().as_ptr(),
    };

    /// Creates the registration data.
    #[expect(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            // INVARIANT: These are the callbacks of `T`, and nothing is registered yet.
            inner: Opaque::new(bindings::liveupdate_flb {
                ops: &Self::OPS,
                compatible: compatible(T::COMPATIBLE),
                private: pin_init::zeroed(),
            }),
            _data: PhantomData,
        }
    }

    /// The C structure, for registering it with a file handler that is written in C.
    #[inline]
    pub fn as_raw(&'static self) -> *mut bindings::liveupdate_flb {
        self.inner.get()
    }

    /// Gets a reference to what this kernel hands over.
    ///
    /// Context: May sleep. Takes LUO's mutex of the outgoing side.
    ///
    /// # Errors
    ///
    /// `ENOENT` when no file is preserved that this data is registered for, `EOPNOTSUPP` when live
    /// update is off.
    pub fn outgoing(&'static self) -> Result<OutgoingRef<T>> {
        let mut object = core::ptr::null_mut();

        // SAFETY: `self` is static, and `object` is valid for writes.
        to_result(unsafe { bindings::liveupdate_flb_get_outgoing(self.as_raw(), &mut object) })?;

        // INVARIANT: LUO just gave us a reference, and by the type invariant of `Flb` the object
        // is a boxed `T::Outgoing`.
        Ok(OutgoingRef {
            flb: self,
            object: NonNull::new(object.cast()).ok_or(ENOENT)?,
        })
    }

    /// Gets a reference to what this kernel was handed.
    ///
    /// Context: May sleep. Takes LUO's mutex of the incoming side.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` when live update is off, `ENODATA` when nothing was handed over, or all of it
    /// was finished, `ENOENT` when other data was handed over, but not this.
    pub fn incoming(&'static self) -> Result<IncomingRef<T>> {
        let mut object = core::ptr::null_mut();

        // SAFETY: `self` is static, and `object` is valid for writes.
        to_result(unsafe { bindings::liveupdate_flb_get_incoming(self.as_raw(), &mut object) })?;

        // INVARIANT: LUO just gave us a reference, and by the type invariant of `Flb` the object
        // is a boxed `T::Incoming`, or an errno.
        Ok(IncomingRef { flb: self, object })
    }

    /// # Safety
    ///
    /// To be called by LUO only.
    unsafe extern "C" fn preserve_callback(
        args: *mut bindings::liveupdate_flb_op_args,
    ) -> kernel::ffi::c_int {
        from_result(|| {
            let outgoing = KBox::pin_init(T::preserve(), GFP_KERNEL)?;
            let handle = T::handle(&outgoing);

            // INVARIANT: The outgoing object is a `Pin<KBox<T::Outgoing>>`.
            // SAFETY: LUO passes arguments that are valid during the callback.
            unsafe {
                (*args).data = handle.into_raw();
                (*args).obj = outgoing.into_foreign();
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// To be called by LUO only.
    unsafe extern "C" fn unpreserve_callback(args: *mut bindings::liveupdate_flb_op_args) {
        // SAFETY: LUO passes arguments that are valid during the callback, and the object that
        // `preserve_callback()` made, which nobody refers to any more.
        drop(unsafe { Pin::<KBox<T::Outgoing>>::from_foreign((*args).obj) });
    }

    /// # Safety
    ///
    /// To be called by LUO only.
    unsafe extern "C" fn freeze_callback(
        args: *mut bindings::liveupdate_flb_op_args,
    ) -> kernel::ffi::c_int {
        from_result(|| {
            // SAFETY: LUO passes arguments that are valid during the callback, and the object that
            // `preserve_callback()` made.
            T::freeze(unsafe { &*(*args).obj.cast::<T::Outgoing>() })?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// To be called by LUO only.
    unsafe extern "C" fn unfreeze_callback(args: *mut bindings::liveupdate_flb_op_args) {
        // SAFETY: As above.
        T::unfreeze(unsafe { &*(*args).obj.cast::<T::Outgoing>() });
    }

    /// # Safety
    ///
    /// To be called by LUO only.
    unsafe extern "C" fn retrieve_callback(
        args: *mut bindings::liveupdate_flb_op_args,
    ) -> kernel::ffi::c_int {
        // SAFETY: LUO passes arguments that are valid during the callback. What the previous
        // kernel's `preserve` made is meant for us.
        let handle = unsafe { Handle::from_raw((*args).data) };

        // INVARIANT: The incoming object is a `Pin<KBox<T::Incoming>>`, or an errno.
        let object = match KBox::pin_init(T::retrieve(handle), GFP_KERNEL) {
            Ok(incoming) => incoming.into_foreign(),
            Err(error) => error.to_ptr(),
        };

        // SAFETY: As above.
        unsafe { (*args).obj = object };
        0
    }

    /// # Safety
    ///
    /// To be called by LUO only.
    unsafe extern "C" fn files_finished_callback(args: *mut bindings::liveupdate_flb_op_args) {
        // SAFETY: LUO passes arguments that are valid during the callback.
        let object = unsafe { (*args).obj };

        if let Ok(object) = from_err_ptr(object) {
            // SAFETY: LUO passes the object that `retrieve_callback()` made, which isn't an errno,
            // and which the last file has a reference to.
            T::files_finished(unsafe { &*object.cast::<T::Incoming>() });
        }
    }

    /// # Safety
    ///
    /// To be called by LUO only.
    unsafe extern "C" fn finish_callback(args: *mut bindings::liveupdate_flb_op_args) {
        // SAFETY: LUO passes arguments that are valid during the callback.
        let object = unsafe { (*args).obj };

        if let Ok(object) = from_err_ptr(object) {
            // SAFETY: LUO passes the object that `retrieve_callback()` made, which isn't an errno,
            // and which nobody refers to any more.
            drop(unsafe { Pin::<KBox<T::Incoming>>::from_foreign(object) });
        }
    }
}

/// A reference to what this kernel hands over. Given back when dropped.
///
/// # Invariants
///
/// The object owns a reference to the outgoing side of `flb`, whose object `object` is.
pub struct OutgoingRef<T: FileLifecycleBound> {
    flb: &'static Flb<T>,
    object: NonNull<T::Outgoing>,
}

impl<T: FileLifecycleBound> Deref for OutgoingRef<T> {
    type Target = T::Outgoing;

    fn deref(&self) -> &T::Outgoing {
        // SAFETY: By the type invariant there is a reference, so the object is alive.
        unsafe { self.object.as_ref() }
    }
}

impl<T: FileLifecycleBound> Drop for OutgoingRef<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { bindings::liveupdate_flb_put_outgoing(self.flb.as_raw()) };
    }
}

/// A reference to what this kernel was handed. Given back when dropped.
///
/// # Invariants
///
/// The object owns a reference to the incoming side of `flb`, whose object `object` is.
pub struct IncomingRef<T: FileLifecycleBound> {
    flb: &'static Flb<T>,
    object: *mut kernel::ffi::c_void,
}

impl<T: FileLifecycleBound> IncomingRef<T> {
    /// What was handed over.
    ///
    /// # Errors
    ///
    /// The error of [`FileLifecycleBound::retrieve`], or `ENOMEM`.
    #[inline]
    pub fn object(&self) -> Result<&T::Incoming> {
        let object = from_err_ptr(self.object)?;

        // SAFETY: By the type invariant there is a reference, so the object is alive, and it isn't
        // an errno, so it is a boxed `T::Incoming`.
        Ok(unsafe { &*object.cast::<T::Incoming>() })
    }
}

impl<T: FileLifecycleBound> Drop for IncomingRef<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { bindings::liveupdate_flb_put_incoming(self.flb.as_raw()) };
    }
}

// SAFETY: A reference can be given back on any thread, and gives no more than a shared reference
// to an object that is `Sync`.
unsafe impl<T: FileLifecycleBound> Send for OutgoingRef<T> {}

// SAFETY: As above.
unsafe impl<T: FileLifecycleBound> Sync for OutgoingRef<T> {}

// SAFETY: As above.
unsafe impl<T: FileLifecycleBound> Send for IncomingRef<T> {}

// SAFETY: As above.
unsafe impl<T: FileLifecycleBound> Sync for IncomingRef<T> {}
