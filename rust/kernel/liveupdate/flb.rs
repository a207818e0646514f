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
    kho::{
        Format,
        HandedOver,
        Memory, //
    },
    module::this_module,
    prelude::*,
    sync::{
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        LockClassKey,
        Mutex, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};
use core::{
    marker::{
        PhantomData,
        PhantomPinned, //
    },
    ops::Deref,
    pin::Pin,
    ptr::NonNull, //
};

/// Data that is shared by files that survive a live update.
///
/// It has two sides. The [outgoing](FileLifecycleBound::Outgoing) state is there while at least one
/// file is preserved that the data is [bound](super::Binding::add) for, and with it the
/// [memory](Memory) that is handed over. The [incoming](FileLifecycleBound::Incoming) object is
/// there from when somebody asks for it until all files are finished and all references are given
/// back. Both can be there at once.
///
/// What ends is dropped: the outgoing state when its last file is unpreserved, the incoming object
/// when its last file is finished. LUO holds a mutex meanwhile, and in all of the functions below
/// but [`files_finished`](FileLifecycleBound::files_finished); it takes the same mutex to get or
/// put a reference. So a lock that is held while a reference is got or put must not be taken in any
/// of these, which is true of the lock of the outgoing state, too: [`OutgoingRef::lock`].
///
/// # Examples
///
/// A number that all files of some kind share:
///
/// ```
/// use kernel::{
///     kho::{Format, HandedOver, Memory},
///     liveupdate::{FileLifecycleBound, Flb},
///     prelude::*,
/// };
///
/// struct Number;
///
/// // SAFETY: Nothing else has this name, and it changes with the format.
/// unsafe impl Format for Number {
///     const NAME: &'static CStr = c"rust-doctest-number-v1";
///     type Record = u64;
///     type Entry = ();
/// }
///
/// #[vtable]
/// impl FileLifecycleBound for Number {
///     type Format = Number;
///     /// How often it was read.
///     type Outgoing = u64;
///     type Incoming = u64;
///
///     fn preserve() -> Result<(u64, u64)> {
///         Ok((42, 0))
///     }
///
///     fn freeze(reads: &mut u64, number: Pin<&mut Memory<Number>>) -> Result {
///         number.update(|number| *number += *reads);
///         Ok(())
///     }
///
///     fn retrieve(number: HandedOver<Number>) -> Result<u64> {
///         let number = number.take_over()?;
///         let value = *number.record();
///
///         number.free();
///         Ok(value)
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
    /// What the data looks like in memory, and the name by which the next kernel finds it.
    type Format: Format;

    /// What this kernel knows of what it hands over.
    type Outgoing: Send + 'static;

    /// What this kernel makes of what it was handed.
    type Incoming: Send + Sync + 'static;

    /// Called when the first file is preserved, for what is handed over if nothing comes of it, and
    /// for the state.
    ///
    /// An error makes it fail to preserve the file.
    ///
    /// Context: May sleep. LUO's mutex of the outgoing side is held.
    fn preserve() -> Result<(<Self::Format as Format>::Record, Self::Outgoing)>;

    /// Called when a kexec is under way, before the first file is frozen: writes down what is
    /// handed over.
    ///
    /// From now on no file is preserved or unpreserved any more, and the data [says
    /// so](Outgoing::is_frozen). An error calls off the kexec.
    ///
    /// Context: May sleep. LUO's mutex of the outgoing side is held, and the lock of the state.
    fn freeze(_outgoing: &mut Self::Outgoing, _memory: Pin<&mut Memory<Self::Format>>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Undoes [`freeze`](FileLifecycleBound::freeze): the kexec was called off.
    ///
    /// Context: May sleep. LUO's mutex of the outgoing side is held, and the lock of the state.
    fn unfreeze(_outgoing: &mut Self::Outgoing) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called when somebody asks for the incoming object for the first time.
    ///
    /// An error is not fatal: whoever [asks](IncomingRef::object) gets the same error, until the
    /// last file is finished. To LUO it looks as if all was well, for it would warn otherwise.
    ///
    /// Context: May sleep. LUO's mutex of the incoming side is held.
    fn retrieve(handed_over: HandedOver<Self::Format>) -> Result<Self::Incoming>;

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

/// What this kernel hands over, and knows of it: the state, which this derefs to, and its memory.
#[pin_data]
pub struct Outgoing<T: FileLifecycleBound> {
    memory: Pin<KBox<Memory<T::Format>>>,
    state: T::Outgoing,
    is_frozen: bool,
    // LUO has the address of the memory, so who has locked one can't exchange it for another.
    #[pin]
    _pin: PhantomPinned,
}

impl<T: FileLifecycleBound> Outgoing<T> {
    /// The state, to change it.
    #[inline]
    pub fn state(self: Pin<&mut Self>) -> &mut T::Outgoing {
        self.project().state
    }

    /// The memory, to look at it.
    #[inline]
    pub fn memory(&self) -> &Memory<T::Format> {
        &self.memory
    }

    /// Whether a kexec is under way, so that nothing may change: see
    /// [`FileLifecycleBound::freeze`].
    #[inline]
    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// Makes room in the memory; see [`Memory::reserve`].
    ///
    /// # Errors
    ///
    /// Those, or `EBUSY` when a kexec is under way.
    pub fn reserve(self: Pin<&mut Self>, count: usize) -> Result {
        if self.is_frozen {
            return Err(EBUSY);
        }
        self.project().memory.as_mut().reserve(count)
    }
}

impl<T: FileLifecycleBound> Deref for Outgoing<T> {
    type Target = T::Outgoing;

    #[inline]
    fn deref(&self) -> &T::Outgoing {
        &self.state
    }
}

/// The name and the class of the lock of all outgoing data. Lockdep wants both to be the same, but
/// each crate that uses a generic function has a name of its own.
#[inline(never)]
fn lock_class() -> (&'static CStr, Pin<&'static LockClassKey>) {
    (c"liveupdate_flb", crate::static_lock_class!())
}

/// The registration data of a [`FileLifecycleBound`], to be put into a `static`.
///
/// Wraps the kernel's `struct liveupdate_flb`.
///
/// # Invariants
///
/// - `inner` is only given to LUO, together with the callbacks of `T`.
/// - The outgoing object that LUO keeps is a `Pin<KBox<Mutex<Outgoing<T>>>>`, and the address that
///   it hands over is that of its memory.
/// - The incoming object that LUO keeps is a `KBox<T::Incoming>`, or an errno as `ERR_PTR()` makes
///   a pointer of it.
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
        freeze: Some(Self::freeze_callback),
        unfreeze: Some(Self::unfreeze_callback),
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
                compatible: compatible(<T::Format as Format>::NAME),
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

        // INVARIANT: LUO just gave us a reference, and the type invariant of `Flb` says what to.
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

        // INVARIANT: LUO just gave us a reference, and the type invariant of `Flb` says what to.
        Ok(IncomingRef { flb: self, object })
    }

    /// # Safety
    ///
    /// `args` must be valid, with an outgoing object of this type that is not dropped for `'a`.
    unsafe fn outgoing_object<'a>(
        args: *mut bindings::liveupdate_flb_op_args,
    ) -> &'a Mutex<Outgoing<T>> {
        // SAFETY: The caller guarantees that it is the object that `preserve_callback()` made, a
        // `Pin<KBox<Mutex<Outgoing<T>>>>`.
        unsafe { &*(*args).obj.cast() }
    }

    /// # Safety
    ///
    /// `args` must be valid, and what is put into it be kept for the other callbacks.
    unsafe extern "C" fn preserve_callback(
        args: *mut bindings::liveupdate_flb_op_args,
    ) -> kernel::ffi::c_int {
        from_result(|| {
            let (record, state) = T::preserve()?;
            let memory = KBox::pin_init(Memory::<T::Format>::new(record), GFP_KERNEL)?;
            let address = memory.address();
            let outgoing = pin_init!(Outgoing::<T> {
                memory,
                state,
                is_frozen: false,
                _pin: PhantomPinned,
            });
            let outgoing = {
                let (name, key) = lock_class();

                KBox::pin_init(Mutex::new(outgoing, name, key), GFP_KERNEL)?
            };

            // INVARIANT: The object is a `Pin<KBox<Mutex<Outgoing<T>>>>`, with memory at that
            // address.
            // SAFETY: The arguments are valid, as the caller guarantees.
            unsafe {
                (*args).data = address;
                (*args).obj = outgoing.into_foreign();
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `args` must be valid, with the object that `preserve_callback()` made, for the last time.
    unsafe extern "C" fn unpreserve_callback(args: *mut bindings::liveupdate_flb_op_args) {
        // SAFETY: The caller guarantees that the object is what `preserve_callback()` made, and
        // that nobody refers to it any more.
        drop(unsafe { Pin::<KBox<Mutex<Outgoing<T>>>>::from_foreign((*args).obj) });
    }

    /// # Safety
    ///
    /// `args` must be valid, with the object that `preserve_callback()` made.
    unsafe extern "C" fn freeze_callback(
        args: *mut bindings::liveupdate_flb_op_args,
    ) -> kernel::ffi::c_int {
        from_result(|| {
            // SAFETY: The caller guarantees that it is the object, and keeps it during the
            // callback.
            let mut outgoing = unsafe { Self::outgoing_object(args) }.lock();
            let outgoing = outgoing.as_mut().project();

            if T::HAS_FREEZE {
                T::freeze(outgoing.state, outgoing.memory.as_mut())?;
            }
            *outgoing.is_frozen = true;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `args` must be valid, with the object that `preserve_callback()` made.
    unsafe extern "C" fn unfreeze_callback(args: *mut bindings::liveupdate_flb_op_args) {
        // SAFETY: The caller guarantees that it is the object, and keeps it during the callback.
        let mut outgoing = unsafe { Self::outgoing_object(args) }.lock();

        let outgoing = outgoing.as_mut().project();

        *outgoing.is_frozen = false;
        if T::HAS_UNFREEZE {
            T::unfreeze(outgoing.state);
        }
    }

    /// # Safety
    ///
    /// `args` must be valid, with what the previous kernel handed over under this name, and what is
    /// put into it be kept for the other callbacks.
    unsafe extern "C" fn retrieve_callback(
        args: *mut bindings::liveupdate_flb_op_args,
    ) -> kernel::ffi::c_int {
        // SAFETY: The caller guarantees that the arguments are valid, and that it is what was
        // handed over under the name of the format, which is meant for who is registered under it.
        let handed_over = unsafe { HandedOver::new((*args).data) };
        let incoming =
            T::retrieve(handed_over).and_then(|incoming| Ok(KBox::new(incoming, GFP_KERNEL)?));

        // INVARIANT: The object is a `KBox<T::Incoming>`, or an errno.
        // SAFETY: The arguments are valid, as the caller guarantees.
        unsafe { (*args).obj = incoming.map_or_else(Error::to_ptr, KBox::into_foreign) };
        0
    }

    /// # Safety
    ///
    /// `args` must be valid, with the object that `retrieve_callback()` made.
    unsafe extern "C" fn files_finished_callback(args: *mut bindings::liveupdate_flb_op_args) {
        // SAFETY: The arguments are valid, as the caller guarantees.
        if let Ok(object) = from_err_ptr(unsafe { (*args).obj }) {
            // SAFETY: It is the object that `retrieve_callback()` made, and not an errno. The last
            // file has a reference to it.
            T::files_finished(unsafe { &*object.cast::<T::Incoming>() });
        }
    }

    /// # Safety
    ///
    /// `args` must be valid, with the object that `retrieve_callback()` made, for the last time.
    unsafe extern "C" fn finish_callback(args: *mut bindings::liveupdate_flb_op_args) {
        // SAFETY: The arguments are valid, as the caller guarantees.
        if let Ok(object) = from_err_ptr(unsafe { (*args).obj }) {
            // SAFETY: It is the object that `retrieve_callback()` made, and not an errno. Nobody
            // refers to it any more.
            drop(unsafe { KBox::<T::Incoming>::from_foreign(object) });
        }
    }
}

/// A reference to what this kernel hands over. Given back when dropped.
///
/// It is not `Send`, so that it can't be kept in the state, which it would keep there for ever.
///
/// # Invariants
///
/// The object owns a reference to the outgoing side of `flb`, whose object `object` is.
pub struct OutgoingRef<T: FileLifecycleBound> {
    flb: &'static Flb<T>,
    object: NonNull<Mutex<Outgoing<T>>>,
}

impl<T: FileLifecycleBound> OutgoingRef<T> {
    /// Locks the state.
    ///
    /// Context: May sleep. The lock has to be dropped before the reference is.
    pub fn lock(&self) -> Guard<'_, Outgoing<T>, MutexBackend> {
        // SAFETY: By the type invariant there is a reference, so the object is alive.
        unsafe { self.object.as_ref() }.lock()
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

// SAFETY: A reference can be given back on any thread, and gives no more than a shared reference to
// an object that is `Sync`, as `T::Incoming` is.
unsafe impl<T: FileLifecycleBound> Send for IncomingRef<T> {}
