//! Work in parallel, results in order, memory bounded.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Threads worth starting here. More than a dozen only wait for the one that hashes.
pub(super) fn threads() -> usize {
    thread::available_parallelism().map_or(1, |threads| threads.get().min(12))
}

/// Runs `work` on whatever `produce` emits, on `threads` threads, and hands the results to
/// `consume` in the order in which their items were emitted.
///
/// `produce` runs on the calling thread and gets a function that takes one item; `false` from it
/// means that nobody wants more. At most `threads` + 4 items are under way.
pub(super) fn ordered<T: Send, R: Send, P>(
    threads: usize,
    produce: impl FnOnce(&mut dyn FnMut(T) -> bool) -> P,
    work: impl Fn(T) -> R + Sync,
    mut consume: impl FnMut(R) -> ControlFlow<()> + Send,
) -> P {
    let (jobs, queue) = sync_channel::<(T, SyncSender<R>)>(threads);
    let (order, results) = sync_channel::<Receiver<R>>(threads + 3);
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((item, reply)) = next(&queue) {
                    // Nobody listens any more when the consumer has stopped.
                    let _ = reply.send(work(item));
                }
            });
        }
        scope.spawn(move || {
            for result in results {
                let Ok(result) = result.recv() else { return };
                if consume(result).is_break() {
                    return;
                }
            }
        });
        let mut emit = move |item| {
            let (reply, result) = sync_channel(1);
            order.send(result).is_ok() && jobs.send((item, reply)).is_ok()
        };
        produce(&mut emit)
        // `emit` goes here and with it the channels' ends: the threads come to theirs.
    })
}

fn next<T>(queue: &Mutex<Receiver<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order() {
        for threads in [1, 2, 7] {
            let mut seen = Vec::new();
            let produced = ordered(
                threads,
                |emit| (0..500_u64).filter(|number| emit(*number)).count(),
                |number| {
                    thread::sleep(Duration::from_micros((number * 7919) % 50));
                    number * 2
                },
                |number| {
                    seen.push(number);
                    ControlFlow::Continue(())
                },
            );
            assert_eq!(produced, 500);
            assert_eq!(seen, (0..500).map(|number| number * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_consumer_that_stops_stops_the_producer() {
        let produced = ordered(
            2,
            |emit| (0..1_000_000_u64).take_while(|number| emit(*number)).count(),
            |number| number,
            |number| if number == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) },
        );
        assert!(produced < 30, "{produced}");
    }

    #[test]
    fn items_under_way_are_bounded() {
        let (alive, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        ordered(
            3,
            |emit| {
                for _ in 0..100 {
                    most.fetch_max(alive.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    emit(());
                }
            },
            |()| (),
            |()| {
                thread::sleep(Duration::from_micros(200));
                alive.fetch_sub(1, Ordering::SeqCst);
                ControlFlow::Continue(())
            },
        );
        assert!(most.into_inner() <= 9);
    }
}
