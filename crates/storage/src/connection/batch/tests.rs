use std::sync::Mutex;

use futures::future::join_all;
use tokio::time::sleep;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

/// An operation that takes a millisecond, and remembers how many callers each one had and when it began.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<(usize, u128)>>>);

impl Work for Recorder {
    type Item = Instant;
    type Answer = ();
    const MAX_BATCH: usize = 4;
    const CONCURRENCY: usize = 1;
    const MAX_CONCURRENCY: usize = 1;
    const LINGER: Duration = Duration::from_millis(5);

    async fn serve(&self, items: Vec<Instant>) -> Result<Vec<()>, StorageError> {
        let began = items[0].elapsed().as_millis();
        self.0.lock().unwrap().push((items.len(), began));
        sleep(MILLISECOND).await;
        Ok(vec![(); items.len()])
    }
}

/// Callers come after so many milliseconds; how many callers each operation had, and when it began after its first one had come.
async fn served(after: &[u32]) -> Vec<(usize, u128)> {
    let recorder = Recorder::default();
    let batches = Batcher::new(recorder.clone());
    let callers = after.iter().map(async |after| {
        sleep(MILLISECOND * *after).await;
        batches.run(Instant::now()).await.unwrap();
    });
    join_all(callers).await;
    let served = recorder.0.lock().unwrap();
    served.clone()
}

#[tokio::test(start_paused = true)]
async fn callers_that_come_close_together_are_served_together() {
    assert_eq!(served(&[0, 1, 3]).await, [(3, 5)]);
    assert_eq!(served(&[0, 3, 6, 7]).await, [(2, 5), (2, 5)]);
}

#[tokio::test(start_paused = true)]
async fn operation_for_as_many_as_it_serves_begins_at_once() {
    assert_eq!(served(&[0, 1, 2, 2]).await, [(4, 2)]);
    assert_eq!(served(&[0, 0, 0, 0, 0]).await[0], (4, 0));
}

#[tokio::test(start_paused = true)]
async fn single_callers_seldom_wait() {
    let after: Vec<_> = (0..40).map(|number| number * 20).collect();
    let served = served(&after).await;
    assert!(served.iter().all(|(callers, _)| *callers == 1));
    let waited = served.iter().filter(|(_, began)| *began > 0);
    assert_eq!(
        waited.count(),
        6,
        "the first, and one after 1, 2, 4, 8 and 16 others: {served:?}"
    );
}
