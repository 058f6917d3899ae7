//! With all guards no promise is broken, in any state there is.

use compline_model::{Case, Guard, Guards};

fn holds(name: &str) {
    holds_with(Guards::ALL, name);
}

fn holds_with(guards: Guards, name: &str) {
    let verdict = Case::named(name).unwrap().check(guards, None);
    println!("{name}: {} states in {:?}", verdict.states, verdict.took);
    if let Some(broken) = verdict.broken {
        panic!("{name}: {}\n{}", broken.promise, broken.story);
    }
}

#[test]
fn rows_and_position_move_together() {
    holds("owners");
}

#[test]
fn partitions_that_share_a_transaction_do_not_harm_each_other() {
    holds("shared");
}

#[test]
fn what_is_decided_is_told_once_and_in_order() {
    holds("outbox");
}

#[test]
fn a_database_that_goes_back_loses_and_doubles_nothing() {
    holds("recovery");
}

#[test]
fn tables_that_are_emptied_under_their_engine_are_noticed() {
    holds("emptied");
}

#[test]
fn an_old_outbox_hides_nothing() {
    holds("old-outbox");
}

#[test]
fn two_histories_of_one_database_make_one_log() {
    holds("two-histories");
}

#[test]
fn so_they_do_in_two_processes() {
    holds("two-processes");
}

#[test]
fn two_inputs_that_meet_see_each_other() {
    holds("two-inputs");
}

#[test]
fn a_redrive_beside_live_traffic_keeps_a_keys_order() {
    holds("redrive");
}

#[test]
fn a_promotion_shows_nobody_the_past() {
    holds("promotion");
}

#[test]
fn what_is_acknowledged_or_read_outlives_a_loss_of_power() {
    holds("log");
}

/// What README.md says of it: whatever was numbered wrongly has not been told.
#[test]
fn a_process_that_renumbers_needs_no_ledger_and_waits_for_no_append() {
    let guards = Guards::ALL.without(Guard::Ledger);
    holds_with(guards.without(Guard::SettledAppends), "two-histories");
}
