//! Admission: how much may be worked on at once, how much may wait, and how many bytes all of it takes.
//!
//! A photo at work holds its permit, which counts its decoded bytes, from start to end. Meanwhile its steps take
//! `Slots` of two kinds: of the CPU, one per core, and of Triton, as many as the replicas can use. No step holds
//! both, so neither cores nor replicas idle while photos wait for the other.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limits of a [`Gate`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Photos at work at once, including those that wait for Triton; at least one.
    pub workers: usize,
    /// Steps on the CPU at once; at least one.
    pub cores: usize,
    /// Photos that wait for their turn.
    pub queue: usize,
    /// Decoded bytes of all photos at work.
    pub decoded: u64,
}

/// A bounded number of workers, of bounded weight in all, behind a bounded queue.
#[derive(Clone, Debug)]
pub struct Gate {
    limits: Limits,
    /// One permit for each photo, waiting or at work.
    places: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    /// One permit for each [`GRAIN`] of decoded bytes.
    decoded: Arc<Semaphore>,
    cpu: Arc<Slots>,
    /// Moving average of the time a photo is at work, in microseconds.
    usual: Arc<AtomicU64>,
}

/// Decoded bytes per semaphore permit: a semaphore counts no further than 32 bits.
const GRAIN: u64 = 1 << 16;

/// The permission to work on one photo. Dropping it lets the next one in.
#[derive(Debug)]
pub struct Permit {
    _place: OwnedSemaphorePermit,
    _worker: OwnedSemaphorePermit,
    _decoded: OwnedSemaphorePermit,
    cpu: Arc<Slots>,
    began: Instant,
    usual: Arc<AtomicU64>,
}

impl Permit {
    /// Waits for a CPU slot. First come, first served.
    pub async fn cpu(&self) -> Slot {
        self.cpu.take().await
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let took = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let before = self.usual.load(Ordering::Relaxed);
        // When two end at once, one of the updates may be lost: this is an estimate.
        let mean = if before == 0 { took } else { before - before / 8 + took / 8 };
        self.usual.store(mean, Ordering::Relaxed);
    }
}

/// The queue or the budget is full.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no room")]
pub struct Full;

/// The current load of a [`Gate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Photos that wait.
    pub waiting: usize,
    /// Photos at work.
    pub working: usize,
    /// Their decoded bytes, rounded up.
    pub decoded: u64,
}

impl Gate {
    /// A gate with these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            places: Arc::new(Semaphore::new(limits.workers + limits.queue)),
            workers: Arc::new(Semaphore::new(limits.workers)),
            decoded: Arc::new(Semaphore::new(grains(limits.decoded) as usize)),
            cpu: Arc::new(Slots::new("cpu", limits.cores)),
            usual: Arc::default(),
        }
    }

    /// Waits until a photo that takes `decoded` bytes may be worked on. First come, first served; dropping
    /// the future leaves the queue. A photo larger than the whole limit is worked on alone.
    ///
    /// # Errors
    /// [`Full`], without waiting, if the queue is full.
    pub async fn enter(&self, decoded: u64) -> Result<Permit, Full> {
        let weight = grains(decoded.min(self.limits.decoded));
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Full)?;
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(|_| Full)?;
        let decoded = Arc::clone(&self.decoded).acquire_many_owned(weight).await.map_err(|_| Full)?;
        let (cpu, usual) = (Arc::clone(&self.cpu), Arc::clone(&self.usual));
        Ok(Permit { _place: place, _worker: worker, _decoded: decoded, cpu, began: Instant::now(), usual })
    }

    /// The estimated time until a photo that joins the queue now is worked on.
    pub fn wait(&self) -> Duration {
        let usual = Duration::from_micros(self.usual.load(Ordering::Relaxed));
        let ahead = self.load().waiting + 1;
        usual.mul_f64(ahead as f64 / self.limits.workers as f64)
    }

    /// The current load.
    pub fn load(&self) -> Load {
        let inside = self.limits.workers + self.limits.queue - self.places.available_permits();
        let working = self.limits.workers - self.workers.available_permits();
        let free = self.decoded.available_permits() as u64;
        let decoded = u64::from(grains(self.limits.decoded)).saturating_sub(free) * GRAIN;
        Load { waiting: inside.saturating_sub(working), working, decoded }
    }
}

fn grains(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(GRAIN)).unwrap_or(u32::MAX)
}

/// A limit on how many may use a resource at once. The histogram `lacuna_wait_seconds` shows how long they wait,
/// and so which resource is scarce.
#[derive(Debug)]
pub struct Slots {
    resource: &'static str,
    free: Arc<Semaphore>,
    /// How many there are, free or taken.
    count: Mutex<usize>,
}

/// A slot, given back when dropped.
#[derive(Debug)]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    /// `count` slots of a resource, whose name the metric shows.
    pub fn new(resource: &'static str, count: usize) -> Self {
        Self { resource, free: Arc::new(Semaphore::new(count)), count: Mutex::new(count) }
    }

    /// Changes their number to `count`. Slots in use are not revoked: where that leaves too many, a later call
    /// removes them.
    pub fn resize(&self, count: usize) {
        let mut now = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        match count.checked_sub(*now) {
            Some(more) => {
                self.free.add_permits(more);
                *now = count;
            }
            None => *now -= self.free.forget_permits(*now - count),
        }
    }

    /// Waits for a slot. First come, first served.
    pub async fn take(&self) -> Slot {
        let since = Instant::now();
        let permit = Arc::clone(&self.free).acquire_owned().await;
        metrics::histogram!("lacuna_wait_seconds", "for" => self.resource)
            .record(since.elapsed().as_secs_f64());
        Slot { _permit: permit.expect("the semaphore is never closed. This is a bug.") }
    }
}

/// The bytes that all uploads together may take while they are received and worked on.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Semaphore>);

/// A part of a [`Budget`], given back when dropped.
#[derive(Debug)]
pub struct Reservation(OwnedSemaphorePermit);

impl Budget {
    /// A budget of `bytes` in total.
    pub fn new(bytes: u32) -> Self {
        Self(Arc::new(Semaphore::new(bytes as usize)))
    }

    /// Adds `bytes` to a reservation.
    ///
    /// # Errors
    /// [`Full`] if less than `bytes` is left; the reservation then stays as it was.
    pub fn take(&self, bytes: usize, reserved: &mut Option<Reservation>) -> Result<(), Full> {
        let bytes = u32::try_from(bytes).map_err(|_| Full)?;
        let more = Arc::clone(&self.0).try_acquire_many_owned(bytes).map_err(|_| Full)?;
        match reserved {
            Some(reserved) => reserved.0.merge(more),
            None => *reserved = Some(Reservation(more)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(workers: usize, queue: usize, decoded: u64) -> Gate {
        Gate::new(Limits { workers, cores: 1, queue, decoded })
    }

    fn entering(gate: &Gate, decoded: u64) -> tokio::task::JoinHandle<Result<Permit, Full>> {
        let gate = gate.clone();
        tokio::spawn(async move { gate.enter(decoded).await })
    }

    #[tokio::test]
    async fn what_does_not_fit_the_queue_is_refused_at_once() {
        let gate = gate(1, 1, GRAIN);
        let working = gate.enter(1).await.unwrap();
        let waiting = entering(&gate, 1);
        tokio::task::yield_now().await;
        assert_eq!(gate.enter(1).await.unwrap_err(), Full);
        assert_eq!(gate.load(), Load { waiting: 1, working: 1, decoded: GRAIN });
        drop(working);
        let working = waiting.await.unwrap().unwrap();
        assert_eq!(gate.load(), Load { waiting: 0, working: 1, decoded: GRAIN });
        drop(working);
        assert!(gate.enter(1).await.is_ok());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_the_queue() {
        let gate = gate(1, 1, GRAIN);
        let _working = gate.enter(1).await.unwrap();
        let waiting = entering(&gate, 1);
        tokio::task::yield_now().await;
        waiting.abort();
        let _ = waiting.await;
        assert_eq!(gate.load().waiting, 0);
    }

    #[tokio::test]
    async fn heavy_photos_wait_for_each_other_and_the_heaviest_works_alone() {
        let gate = gate(3, 3, 10 * GRAIN);
        let first = gate.enter(6 * GRAIN).await.unwrap();
        let heavy = entering(&gate, 1000 * GRAIN);
        tokio::task::yield_now().await;
        assert!(!heavy.is_finished());
        drop(first);
        let heavy = heavy.await.unwrap().unwrap();
        assert_eq!(gate.load().decoded, 10 * GRAIN);
        drop(heavy);
        let (_a, _b) = (gate.enter(4 * GRAIN).await.unwrap(), gate.enter(6 * GRAIN).await.unwrap());
    }

    #[tokio::test]
    async fn the_wait_is_that_of_the_queue_at_its_usual_pace() {
        let gate = gate(2, 8, GRAIN);
        assert_eq!(gate.wait(), Duration::ZERO);
        gate.usual.store(4_000_000, Ordering::Relaxed);
        assert_eq!(gate.wait(), Duration::from_secs(2));
        let _working = [gate.enter(0).await.unwrap(), gate.enter(0).await.unwrap()];
        let _waiting = [entering(&gate, 0), entering(&gate, 0), entering(&gate, 0)];
        tokio::task::yield_now().await;
        assert_eq!(gate.wait(), Duration::from_secs(8));
    }

    #[tokio::test]
    async fn steps_on_the_cpu_wait_for_a_core() {
        let gate = gate(2, 0, GRAIN);
        let (one, two) = (gate.enter(0).await.unwrap(), gate.enter(0).await.unwrap());
        let slot = one.cpu().await;
        let waiting = tokio::spawn(async move { two.cpu().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(slot);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn slots_are_added_at_once_and_removed_when_they_are_free() {
        let slots = Slots::new("test", 1);
        let one = slots.take().await;
        slots.resize(3);
        let _others = (slots.take().await, slots.take().await);
        slots.resize(2);
        assert_eq!(*slots.count.lock().unwrap(), 3);
        drop(one);
        slots.resize(2);
        assert_eq!((*slots.count.lock().unwrap(), slots.free.available_permits()), (2, 0));
    }

    #[test]
    fn a_budget_is_taken_and_given_back() {
        let budget = Budget::new(100);
        let (mut one, mut two) = (None, None);
        assert_eq!(budget.take(60, &mut one), Ok(()));
        assert_eq!(budget.take(50, &mut two), Err(Full));
        assert_eq!(budget.take(30, &mut one), Ok(()));
        drop(one);
        assert_eq!(budget.take(100, &mut two), Ok(()));
    }
}
