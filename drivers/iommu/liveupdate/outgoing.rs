// SPDX-License-Identifier: GPL-2.0

//! What this kernel hands over: devices, and what hardware reads to translate their DMA.

use crate::{
    abi::Record,
    device::{
        self,
        describe,
        Described, //
    },
    table::{
        self,
        Page,
        Visitor, //
    }, //
};
use kernel::{
    device::Device,
    kho::{
        self,
        Lookup,
        Preserved, //
    },
    prelude::*,
    sync::aref::ARef, //
};

/// A folio that several devices may need.
struct Shared {
    address: u64,
    users: usize,
    _folio: Preserved,
}

/// A page table that several devices may have.
struct Table {
    top: u64,
    levels: u8,
    users: usize,
    folios: KVVec<Preserved>,
    /// How often memory had been unpreserved when all that it maps was seen to be preserved.
    checked: Option<usize>,
}

/// A device whose translation goes on.
struct Kept {
    device: ARef<Device>,
    described: Described,
}

/// The devices whose translation goes on.
pub(crate) struct Outgoing {
    devices: KVec<Kept>,
    tables: KVec<Table>,
    folios: KVec<Shared>,
}

/// Preserves the tables that it visits.
struct Preserve(KVVec<Preserved>);

impl Visitor for Preserve {
    fn table(&mut self, address: u64) -> Result<Option<Page>> {
        self.0.reserve(1, GFP_KERNEL)?;
        // SAFETY: It is part of a page table that a device is attached to, which is not freed
        // before it is attached to another one, and not changed, as the caller of
        // `iommu_liveupdate_preserve()` guarantees, before that is undone.
        let folio = unsafe { Preserved::new(address) }?;

        // There is room.
        let _ = self.0.push_within_capacity(folio);
        // SAFETY: As for the folio, of which it is a page.
        Ok(Some(unsafe { Page::new(address) }))
    }

    fn leaf(&mut self, _iova: u64, _address: u64, _size: u64) -> Result {
        Ok(())
    }
}

/// Looks for memory that is not preserved.
struct Check {
    lookup: Lookup,
    /// The first address by which some can be reached.
    iova: u64,
}

impl Visitor for Check {
    fn table(&mut self, address: u64) -> Result<Option<Page>> {
        // SAFETY: It is part of a page table that is preserved, as above.
        Ok(Some(unsafe { Page::new(address) }))
    }

    #[inline]
    fn leaf(&mut self, iova: u64, address: u64, size: u64) -> Result {
        if self.lookup.is_preserved(address, size) {
            return Ok(());
        }
        self.iova = iova;
        Err(EBUSY)
    }

    fn left(&mut self, _page: Page) {
        self.lookup.pause();
    }
}

impl Table {
    /// Whether all that it maps is preserved, or the first address by which something else can be
    /// reached.
    fn check(&mut self) -> Result<(), u64> {
        // What was preserved once is so still if nothing was unpreserved.
        if self.checked == Some(kho::unpreserved()) {
            return Ok(());
        }

        let mut check = Check {
            lookup: Lookup::new(),
            iova: 0,
        };
        // From here on each one counts, as it may be of what was looked up.
        let unpreserved = kho::unpreserved();

        table::visit(self.top, self.levels, &mut check).map_err(|_| check.iova)?;
        self.checked = Some(unpreserved);
        Ok(())
    }
}

impl Outgoing {
    pub(crate) fn new() -> Self {
        Self {
            devices: KVec::new(),
            tables: KVec::new(),
            folios: KVec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.devices.len()
    }

    /// What is handed over.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.devices.iter().map(|kept| kept.described.record)
    }

    /// The same, with how many pages of tables are preserved for it, some perhaps for others, too.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (Record, usize)> + '_ {
        self.devices.iter().map(|kept| {
            let record = kept.described.record;
            let tables = self.tables.iter().filter(|table| table.top == record.top);

            (record, tables.map(|table| table.folios.len()).sum())
        })
    }

    /// Says whether translation goes on when the kernel is replaced.
    pub(crate) fn keep(&self, keep: bool) {
        for kept in &self.devices {
            device::keep(&kept.device, keep);
        }
    }

    fn position(&self, dev: &Device) -> Option<usize> {
        self.devices
            .iter()
            .position(|kept| core::ptr::eq(&*kept.device, dev))
    }

    /// Whether a device is one of these.
    pub(crate) fn has(&self, dev: &Device) -> bool {
        self.position(dev).is_some()
    }

    /// Adds a device.
    ///
    /// # Errors
    ///
    /// `EBUSY` when it is there already, `EOPNOTSUPP`, `ENOMEM`. Then nothing has changed.
    pub(crate) fn preserve(&mut self, dev: &Device) -> Result {
        if self.has(dev) {
            return Err(EBUSY);
        }

        let described = describe(dev)?;

        self.devices.reserve(1, GFP_KERNEL)?;
        // When the jump comes, nobody serves who uses the device: what can be looked up by now is.
        // Memory may be preserved later.
        let _ = self.use_table(&described.record)?.check();
        for (used, address) in described.folios().enumerate() {
            if let Err(error) = self.use_folio(address) {
                self.unuse(described.folios().take(used), &described.record);
                return Err(error);
            }
        }
        // There is room.
        let _ = self.devices.push_within_capacity(Kept {
            device: dev.into(),
            described,
        });
        Ok(())
    }

    /// Takes a device out, if it is there.
    pub(crate) fn unpreserve(&mut self, dev: &Device) {
        let Some(position) = self.position(dev) else {
            return;
        };
        let Ok(Kept { described, .. }) = self.devices.remove(position) else {
            return;
        };

        // Also when the next kernel is on its way, and has been told of it: it finds no page table.
        device::keep(dev, false);
        self.unuse(described.folios(), &described.record);
    }

    /// Whether a device is attached to what is handed over, and reaches nothing else.
    ///
    /// # Errors
    ///
    /// `EBUSY`, which is logged.
    pub(crate) fn check(&mut self, dev: &Device) -> Result {
        let record = self
            .position(dev)
            .map(|position| self.devices[position].described.record);

        if record.is_none() || describe(dev).ok().map(|now| now.record) != record {
            dev_err!(
                dev,
                "liveupdate: cannot be handed over: it has another page table now\n"
            );
            return Err(EBUSY);
        }

        let Some(table) = self
            .tables
            .iter_mut()
            .find(|table| record.is_some_and(|record| table.top == record.top))
        else {
            return Err(EBUSY);
        };

        table.check().map_err(|iova| {
            dev_err!(
                dev,
                "liveupdate: cannot be handed over: what is mapped at {iova:#x} is not preserved\n"
            );
            EBUSY
        })
    }

    fn use_table(&mut self, record: &Record) -> Result<&mut Table> {
        let position = match self.tables.iter().position(|table| table.top == record.top) {
            Some(position) => position,
            None => {
                let mut folios = Preserve(KVVec::new());

                table::visit(record.top, record.levels, &mut folios)?;
                self.tables.push(
                    Table {
                        top: record.top,
                        levels: record.levels,
                        users: 0,
                        folios: folios.0,
                        checked: None,
                    },
                    GFP_KERNEL,
                )?;
                self.tables.len() - 1
            }
        };
        let table = &mut self.tables[position];

        table.users += 1;
        Ok(table)
    }

    fn use_folio(&mut self, address: u64) -> Result {
        if let Some(folio) = self
            .folios
            .iter_mut()
            .find(|folio| folio.address == address)
        {
            folio.users += 1;
            return Ok(());
        }

        self.folios.reserve(1, GFP_KERNEL)?;
        // There is room.
        let _ = self.folios.push_within_capacity(Shared {
            address,
            users: 1,
            // SAFETY: It is what the IOMMU's driver says that hardware reads of a device, which is
            // not freed while the device is there.
            _folio: unsafe { Preserved::new(address) }?,
        });
        Ok(())
    }

    fn unuse(&mut self, folios: impl Iterator<Item = u64>, record: &Record) {
        for address in folios {
            self.folios.retain(|folio| {
                folio.users -= usize::from(folio.address == address);
                folio.users != 0
            });
        }
        self.tables.retain(|table| {
            table.users -= usize::from(table.top == record.top);
            table.users != 0
        });
    }
}
