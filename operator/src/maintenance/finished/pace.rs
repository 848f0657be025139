//! How fast a long listing goes on. Kubernetes goes through all objects for each page, so a listing at full speed leaves it little
//! time for searches.

use std::time::Duration;

use kube::runtime::watcher::{self, Event};
use tokio::time::Instant;

/// A page is followed by a pause that is so many times as long as the page took.
const SHARE: u32 = 3;
/// The longest pause after a page.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// A listing that takes longer goes on without pauses: Kubernetes keeps what it continues from for five minutes. One that follows a
/// listing that failed has none.
const MAX_PACED: Duration = Duration::from_mins(2);

/// The pace of a watch whose listings have pages of one size.
pub(super) struct Pace {
    page: u32,
    /// Whether the last listing came to its end.
    is_complete: bool,
    /// Until when the present one has pauses.
    paced_until: Instant,
    /// When its present page began.
    page_began: Instant,
    /// Objects of the listing so far.
    objects: u32,
}

impl Pace {
    pub(super) fn new(page: u32) -> Self {
        let now = Instant::now();
        Self {
            page,
            is_complete: true,
            paced_until: now,
            page_began: now,
            objects: 0,
        }
    }

    /// How long to wait before the event that follows this one is asked for.
    pub(super) fn pause_after<K>(
        &mut self,
        event: &watcher::Result<Event<K>>,
        now: Instant,
    ) -> Option<Duration> {
        match event {
            Ok(Event::Init) => {
                (self.page_began, self.objects) = (now, 0);
                let was_complete = std::mem::replace(&mut self.is_complete, false);
                self.paced_until = if was_complete { now + MAX_PACED } else { now };
                return None;
            }
            Ok(Event::InitDone) => {
                self.is_complete = true;
                return None;
            }
            Ok(Event::InitApply(_)) => self.objects += 1,
            _ => return None,
        }
        if !self.objects.is_multiple_of(self.page) {
            return None;
        }
        let pause = ((now - self.page_began) * SHARE).min(MAX_PAUSE);
        let pause = (now < self.paced_until).then_some(pause);
        self.page_began = now + pause.unwrap_or_default();
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_of_a_listing_is_followed_by_a_pause_but_not_what_is_watched_or_takes_too_long() {
        let milliseconds = Duration::from_millis;
        let mut now = Instant::now();
        let mut pace = Pace::new(2);
        for (after, event, expected) in [
            (0, Event::Apply(()), 0),
            (0, Event::Init, 0),
            (40, Event::InitApply(()), 0),
            (10, Event::InitApply(()), 150),
            (170, Event::InitApply(()), 0),
            (0, Event::InitApply(()), 60),
            (5_060, Event::InitApply(()), 0),
            (0, Event::InitApply(()), 1_000),
            (1_000, Event::InitDone, 0),
            (5_000, Event::Delete(()), 0),
            (0, Event::Init, 0),
            (119_900, Event::InitApply(()), 0),
            (0, Event::InitApply(()), 1_000),
            (1_100, Event::InitApply(()), 0),
            (0, Event::InitApply(()), 0),
            // It did not end: the next one has no pauses.
            (0, Event::Init, 0),
            (40, Event::InitApply(()), 0),
            (10, Event::InitApply(()), 0),
            (0, Event::InitDone, 0),
            (0, Event::Init, 0),
            (40, Event::InitApply(()), 0),
            (10, Event::InitApply(()), 150),
        ] {
            now += milliseconds(after);
            let shown = format!("{event:?}");
            let pause = pace.pause_after(&Ok(event), now);
            assert_eq!(
                pause.unwrap_or_default(),
                milliseconds(expected),
                "{shown} after {after} ms"
            );
        }
    }
}
