// SPDX-License-Identifier: GPL-2.0

//! Giving back references to the incoming data where that can't be done at once.
//!
//! The last reference to a device may be dropped in any context, and with it goes the device's
//! reference to the incoming data. To give that back takes a mutex, and may free memory, so a
//! workqueue does it.

use crate::RECORDS;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full, //
        },
        Arc,
        SetOnce, //
    },
    workqueue::{
        self,
        impl_has_work,
        new_work,
        Work,
        WorkItem, //
    }, //
};

/// Gives back references to the incoming data.
#[pin_data]
struct Deferred {
    /// How many.
    pending: Atomic<i32>,
    #[pin]
    work: Work<Deferred>,
}

impl_has_work! {
    impl HasWork<Self> for Deferred { self.work }
}

impl WorkItem for Deferred {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        for _ in 0..this.pending.xchg(0, Full) {
            // SAFETY: For each that is counted, somebody gave up a reference.
            unsafe { RECORDS.put_detached() };
        }
    }
}

static DEFERRED: SetOnce<Arc<Deferred>> = SetOnce::new();

/// Gets ready to give back references. To be called before any is given out.
///
/// Context: May sleep.
pub(crate) fn prepare() -> Result {
    let deferred = Arc::pin_init(
        pin_init!(Deferred {
            pending: Atomic::new(0),
            work <- new_work!("pci_liveupdate_put_incoming"),
        }),
        GFP_KERNEL,
    )?;

    DEFERRED.populate(deferred);
    Ok(())
}

/// Gives back a reference to the incoming data, soon.
///
/// Context: Any context.
///
/// # Safety
///
/// The caller owns a detached reference to the incoming data, and gives it up.
pub(crate) unsafe fn put_incoming() {
    // There is a reference, so `prepare()` was called.
    if let Some(deferred) = DEFERRED.as_ref() {
        deferred.pending.fetch_add(1, Full);
        // An error says that it is queued already, and so has yet to look at what is pending.
        let _ = workqueue::system().enqueue(deferred.clone());
    }
}
