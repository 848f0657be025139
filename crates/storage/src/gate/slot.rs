//! The gate's row: when the next request may be sent, and until when all processes cool down. All by the database's clock, read
//! when the statement runs (`now()` would be as old as the transaction, and older than a wait).

use std::time::Duration;

use jiff::Timestamp;
use sqlx::PgConnection;

use super::{GateSettings, RequestOutcome};
use crate::connection::micros;

/// A slot that is more than this later than the interval was not written by a process of ours: the clock was set back. It is
/// ignored.
const CLOCK_SET_BACK: Duration = Duration::from_mins(1);
/// 2^20 times the base is beyond every cap.
const MAX_DOUBLINGS: i32 = 20;

/// How long to wait before a slot can be taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    pub(super) slot: Duration,
    pub(super) cooldown: Duration,
    /// The end of the cool-down, if there is one.
    pub(super) until: Option<Timestamp>,
    /// A request may still be open: the lease before was lost, or it was on another server.
    pub(super) open: bool,
}

/// Takes the slot if it is due: moves it by the interval and the slack, committed when this returns true. `open_is_ours`: a
/// request that seems open is this lease's own, or has had enough time to end.
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
         set next_slot = clock_timestamp() + $1 * interval '1 microsecond', request_open = true,
             given_by = pg_postmaster_start_time()
         where ($4 or not request_open and coalesce(given_by = pg_postmaster_start_time(), true))
           and (next_slot <= clock_timestamp() or next_slot > clock_timestamp() + $2 * interval '1 microsecond')
           and (cooldown_until is null or cooldown_until <= clock_timestamp()
                or cooldown_until > clock_timestamp() + $3 * interval '1 microsecond')",
    )
    .bind(micros(settings.slot_step(slack)))
    .bind(micros(settings.interval + CLOCK_SET_BACK))
    .bind(micros(settings.cooldown_cap + CLOCK_SET_BACK))
    .bind(open_is_ours);
    Ok(take.execute(connection).await?.rows_affected() == 1)
}

/// How long until [`take`] can succeed.
pub(super) async fn delay(connection: &mut PgConnection) -> Result<Delay, sqlx::Error> {
    let delay = sqlx::query_as::<_, (i64, i64, Option<i64>, bool)>(
        "select (extract(epoch from next_slot - t) * 1000000)::bigint,
                coalesce((extract(epoch from cooldown_until - t) * 1000000)::bigint, 0),
                (extract(epoch from cooldown_until) * 1000000)::bigint,
                request_open or coalesce(given_by <> pg_postmaster_start_time(), false)
         from public.arxiv_gate, clock_timestamp() as t",
    );
    let wait = |micros: i64| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let (slot, cooldown, until, open) = delay.fetch_one(connection).await?;
    Ok(Delay {
        open,
        slot: wait(slot),
        cooldown: wait(cooldown),
        until: until.and_then(|at| Timestamp::from_microsecond(at).ok()),
    })
}

/// After a request: moves the slot again (a request may have taken long) and stores the cool-down. Returns its end (microseconds
/// since 1970) while it lasts.
pub(super) async fn record(
    connection: &mut PgConnection,
    settings: &GateSettings,
    outcome: RequestOutcome,
) -> Result<Option<i64>, sqlx::Error> {
    let (throttled, requested) = match outcome {
        RequestOutcome::Throttled { retry_after } => (Some(true), retry_after.unwrap_or_default()),
        RequestOutcome::Answered => (Some(false), Duration::ZERO),
        RequestOutcome::Failed => (None, Duration::ZERO),
    };
    // arXiv's Retry-After can only lengthen our own growing pause, up to the cap; and nothing shortens a pause that has begun.
    let record = sqlx::query_as::<_, (Option<i64>,)>(
        "update public.arxiv_gate
         set next_slot = greatest(next_slot, clock_timestamp() + $1 * interval '1 microsecond'),
             request_open = false,
             throttled_in_a_row = case when $2 then throttled_in_a_row + 1 when not $2 then 0 else throttled_in_a_row end,
             cooldown_until = case when $2 then greatest(cooldown_until, clock_timestamp() + interval '1 microsecond'
                 * least(greatest($3 * power(2, least(throttled_in_a_row, $4)), $5), $6))
               else cooldown_until end
         returning case when cooldown_until > clock_timestamp() then (extract(epoch from cooldown_until) * 1000000)::bigint end",
    )
    .bind(micros(settings.interval))
    .bind(throttled)
    .bind(micros(settings.cooldown_base))
    .bind(MAX_DOUBLINGS)
    .bind(micros(requested))
    .bind(micros(settings.cooldown_cap));
    Ok(record
        .fetch_optional(connection)
        .await?
        .and_then(|(until,)| until))
}

/// No request is sent with the slot that was taken.
pub(super) async fn give_up(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("update public.arxiv_gate set request_open = false")
        .execute(connection)
        .await?;
    Ok(())
}
