//! The gate's row: when the next request may be sent, and until when all processes cool down. All by the database's clock, read
//! when the statement runs (`now()` would be as old as the transaction, and older than a wait).

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{PgConnection, Row, postgres::PgRow};
use tokio::time::Instant;

use super::{GateSettings, RequestOutcome};
use crate::connection::micros;

/// A slot that is more than this later than the interval was not written by a process of ours: the clock was set back. It is
/// ignored.
const CLOCK_SET_BACK: Duration = Duration::from_mins(1);
/// 2^20 times the base is beyond every cap.
const MAX_DOUBLINGS: i32 = 20;
/// An interval is longer by this, as the database's clock may be corrected meanwhile: three times what a correction of 0.1 % adds
/// to arXiv's interval.
const CLOCK_CORRECTION: Duration = Duration::from_millis(10);

/// The row as a statement without parameters, so that it can be one message with others.
pub(super) const STATE: &str = "select (extract(epoch from next_slot - t) * 1000000)::bigint,
            coalesce((extract(epoch from cooldown_until - t) * 1000000)::bigint, 0),
            (extract(epoch from cooldown_until) * 1000000)::bigint,
            request_open or coalesce(given_by <> pg_postmaster_start_time(), false),
            xmin::text::bigint
     from public.arxiv_gate, clock_timestamp() as t";

/// The row as it was at some time.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// When it was read at the latest.
    read: Instant,
    /// How long after that it is due.
    pub(super) slot: Duration,
    pub(super) cooldown: Duration,
    /// The end of the cool-down, if there is one.
    pub(super) until: Option<Timestamp>,
    /// A request may still be open: the lease before was lost, or it was on another server.
    pub(super) open: bool,
    /// The transaction that wrote it.
    pub(super) written_by: i64,
}

impl State {
    pub(super) fn of(row: &PgRow, settings: &GateSettings) -> Result<Self, sqlx::Error> {
        let wait = |micros: i64, longest: Duration| {
            let wait = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
            if wait > longest + CLOCK_SET_BACK {
                Duration::ZERO
            } else {
                wait
            }
        };
        let until = row.try_get::<Option<i64>, _>(2)?;
        Ok(Self {
            read: Instant::now(),
            slot: wait(row.try_get(0)?, settings.longest_step()),
            cooldown: wait(row.try_get(1)?, settings.cooldown_cap),
            until: until.and_then(|at| Timestamp::from_microsecond(at).ok()),
            open: row.try_get(3)?,
            written_by: row.try_get(4)?,
        })
    }

    /// When the slot is due, at the latest.
    pub(super) fn due(&self) -> Instant {
        self.read + self.slot
    }

    /// When the cool-down ends, at the latest.
    pub(super) fn cool(&self) -> Instant {
        self.read + self.cooldown
    }
}

/// Reads the row.
pub(super) async fn read(
    connection: &mut PgConnection,
    settings: &GateSettings,
) -> Result<State, sqlx::Error> {
    State::of(&sqlx::query(STATE).fetch_one(connection).await?, settings)
}

/// Takes the slot if it is due within `slack`: moves it by the interval and the slack, committed when this returns true. The request
/// may be sent from when the slot was due on, for as long as the slack. `open_is_ours`: a request that seems open is this lease's
/// own, or has had enough time to end.
///
/// A server that has taken over (or was started again) may lack the last slots: a request that it does not know may be open too.
pub(super) async fn take(
    connection: &mut PgConnection,
    settings: &GateSettings,
    slack: Duration,
    open_is_ours: bool,
) -> Result<bool, sqlx::Error> {
    let take = sqlx::query(
        "update public.arxiv_gate
         set next_slot = $1 * interval '1 microsecond' + case
               when next_slot > clock_timestamp() + $2 * interval '1 microsecond' then clock_timestamp()
               else greatest(next_slot, clock_timestamp()) end,
             request_open = true, given_by = pg_postmaster_start_time()
         where ($4 or not request_open and coalesce(given_by = pg_postmaster_start_time(), true))
           and (next_slot <= clock_timestamp() + $5 * interval '1 microsecond'
                or next_slot > clock_timestamp() + $2 * interval '1 microsecond')
           and (cooldown_until is null or cooldown_until <= clock_timestamp()
                or cooldown_until > clock_timestamp() + $3 * interval '1 microsecond')",
    )
    .bind(micros(settings.slot_step(slack)))
    .bind(micros(settings.longest_step() + CLOCK_SET_BACK))
    .bind(micros(settings.cooldown_cap + CLOCK_SET_BACK))
    .bind(open_is_ours)
    .bind(micros(slack));
    Ok(take.execute(connection).await?.rows_affected() == 1)
}

/// A transaction that records how a request went, as statements without parameters. It had arrived for `arrived_for` at the latest
/// when this was called, if anything is known of that. Its row is read by [`recorded`].
///
/// The next slot is an interval after the arrival. Where that is not known, the request may have arrived just now. Only the holder
/// of the lock moves the slot, so it may also be moved back, from where it was when the slot was taken.
pub(super) fn record(
    settings: &GateSettings,
    outcome: RequestOutcome,
    arrived_for: Option<Duration>,
) -> String {
    let (throttled, requested) = match outcome {
        RequestOutcome::Throttled { retry_after } => ("true", retry_after.unwrap_or_default()),
        RequestOutcome::Answered => ("false", Duration::ZERO),
        RequestOutcome::Failed => ("null::boolean", Duration::ZERO),
    };
    let interval = if settings.interval.is_zero() {
        0
    } else {
        micros(settings.interval + CLOCK_CORRECTION)
    };
    let next_slot = match arrived_for {
        Some(ago) => format!(
            "clock_timestamp() + {} * interval '1 microsecond'",
            interval - micros(ago)
        ),
        None => format!("greatest(next_slot, clock_timestamp() + {interval} * interval '1 microsecond')"),
    };
    // If the server loses this, the row still says that a request is open, with the slot as it was taken: the next holder waits for
    // longer than it needs to. A cool-down must not be lost.
    let durable = if throttled == "true" {
        ""
    } else {
        "set local synchronous_commit = off;"
    };
    // arXiv's Retry-After can only lengthen our own growing pause, up to the cap; and nothing shortens a pause that has begun.
    format!(
        "begin; {durable}
         update public.arxiv_gate
         set next_slot = {next_slot},
             request_open = false,
             throttled_in_a_row = case when {throttled} then throttled_in_a_row + 1
               when not {throttled} then 0 else throttled_in_a_row end,
             cooldown_until = case when {throttled} then greatest(cooldown_until, clock_timestamp() + interval '1 microsecond'
                 * least(greatest({base} * power(2, least(throttled_in_a_row, {MAX_DOUBLINGS})), {requested}), {cap}))
               else cooldown_until end
         returning case when cooldown_until > clock_timestamp() then (extract(epoch from cooldown_until) * 1000000)::bigint end,
           xmin::text::bigint;
         commit;",
        base = micros(settings.cooldown_base),
        requested = micros(requested),
        cap = micros(settings.cooldown_cap),
    )
}

/// What [`record`] returns: the end of the cool-down (microseconds since 1970) while it lasts, and the transaction.
pub(super) fn recorded(row: &PgRow) -> Result<(Option<i64>, i64), sqlx::Error> {
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// No request is sent with the slot that was taken.
pub(super) const GIVE_UP: &str = "begin; update public.arxiv_gate set request_open = false; commit;";
