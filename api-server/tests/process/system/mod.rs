//! The whole system, with an operator: one system for all of these tests, which use it one after the other.

mod failures;
mod followed;
mod hostile;
mod lifecycle;
mod recorded;
mod refused;
mod removed;

use testbed::TestEnv;
use testbed::arxiv::Mode;
use testbed::test_env::EMPTY;
use tokio::sync::{Mutex, OnceCell};

use crate::block_on;

/// Runs a test on the system, with empty tables and an arXiv that works.
fn run(test: impl AsyncFnOnce(&TestEnv)) {
    static SYSTEM: OnceCell<Mutex<TestEnv>> = OnceCell::const_new();
    // Objects that are finished are soon removed.
    let start = async || {
        let environment = [
            ("ARXIV_TIMEOUT_MS", "8000"),
            ("ARXIV_TTL_SECONDS", "15"),
            ("SWEEP_INTERVAL_SECONDS", "1"),
        ];
        Mutex::new(TestEnv::for_api(&environment).await)
    };
    block_on(async {
        let env = SYSTEM.get_or_init(start).await.lock().await;
        env.stack.arxiv().unwrap().set(Mode::Ok);
        env.stack.arxiv().unwrap().clear_record();
        env.forget_pages().await;
        env.execute(EMPTY).await;
        test(&env).await;
    });
}

#[test]
fn recorded_exchanges_are_answered_as_recorded() {
    run(recorded::every_case);
}

#[test]
fn searches_ask_arxiv_for_what_was_typed_and_share_its_pages() {
    run(failures::searches);
}

#[test]
fn failures_of_arxiv_have_their_status_and_code() {
    run(failures::failures_of_arxiv);
}

#[test]
fn exceeded_deadline_is_504() {
    run(failures::exceeded_deadline);
}

#[test]
fn request_is_followed_by_its_id_through_the_logs_of_all_processes() {
    run(followed::request);
}

#[test]
fn clients_that_leave_early_have_a_line_in_the_access_log() {
    run(followed::clients_that_leave);
}

#[test]
fn annotations_that_are_no_ids_are_not_logged() {
    run(followed::invalid_annotations);
}

#[test]
fn hostile_text_in_an_object_stays_in_its_field() {
    run(hostile::objects);
}

#[test]
fn lines_of_the_log_are_calls_without_secrets_or_input_in_other_lines() {
    run(hostile::log);
}

#[test]
fn unfinished_queries_are_listed_in_pages() {
    run(lifecycle::list);
}

#[test]
fn requests_in_progress_end_with_the_process() {
    run(lifecycle::end_of_the_process);
}

#[test]
fn query_that_a_policy_or_a_quota_refuses_is_422_or_429_with_its_words() {
    run(refused::by_admission);
}

#[test]
fn query_whose_deletion_a_finalizer_delays_is_reported_as_removed() {
    run(removed::before_its_end);
}

#[test]
fn query_that_its_ttl_deleted_is_answered_from_its_record() {
    run(removed::by_its_ttl);
}

#[test]
fn failed_query_that_its_ttl_deleted_is_answered_from_its_tombstone() {
    run(removed::after_a_failure);
}
