//! Admission: how much may be worked on at once, and how much may wait.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bounded number of workers behind a bounded queue.
#[derive(Clone, Debug)]
pub struct Gate {
    /// One permit for everything inside, waiting or at work.
    places: Arc<Semaphore>,
    workers: Arc<Semaphore>,
}

/// A place at work. Holding it is what allows the work; it is given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _place: OwnedSemaphorePermit,
    _worker: OwnedSemaphorePermit,
}

/// The queue is full.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the queue is full")]
pub struct Full;

impl Gate {
    /// A gate for `workers` at once, at least one, and `queue` more that wait.
    pub fn new(workers: usize, queue: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(workers + queue)), workers: Arc::new(Semaphore::new(workers)) }
    }

    /// Waits for a worker's place. First come, first served; a caller that goes away leaves the queue.
    ///
    /// # Errors
    /// [`Full`], at once, where the queue is full.
    pub async fn enter(&self) -> Result<Permit, Full> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Full)?;
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(|_| Full)?;
        Ok(Permit { _place: place, _worker: worker })
    }

    /// How many wait, and how many are at work.
    pub fn load(&self, workers: usize, queue: usize) -> (usize, usize) {
        let inside = workers + queue - self.places.available_permits();
        let working = workers - self.workers.available_permits();
        (inside.saturating_sub(working), working)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_the_queue_is_refused_at_once() {
        let gate = Gate::new(1, 1);
        let working = gate.enter().await.unwrap();
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await }
        });
        tokio::task::yield_now().await;
        assert_eq!(gate.enter().await.unwrap_err(), Full);
        drop(working);
        let working = waiting.await.unwrap().unwrap();
        assert_eq!(gate.load(1, 1), (0, 1));
        drop(working);
        assert!(gate.enter().await.is_ok());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_the_queue() {
        let gate = Gate::new(1, 1);
        let _working = gate.enter().await.unwrap();
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await }
        });
        tokio::task::yield_now().await;
        waiting.abort();
        let _ = waiting.await;
        assert_eq!(gate.load(1, 1), (0, 1));
    }
}
