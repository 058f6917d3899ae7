//! An engine's process that dies at a point of the protocol; the next one tells what
//! was decided, under the number that it was given first.
//!
//! | point | of the outputs of the last batch |
//! |---|---|
//! | `committing` | nothing is decided |
//! | `committed` | all are in the outbox, none in the log |
//! | `told-some` | some may be in the log |
//! | `told` | all are in the log, and the outbox does not know |

use compline_event::Topic;
use compline_readmodel::crash::Guard;
use compline_testkit::{
    crash::{Crash, stage},
    verify,
};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::{
    counting::Counting,
    street::{Street, runner},
    telling::{ACCOUNTS, exactly_once},
};

const INPUTS: usize = 40;

/// Not a test of its own: dies where the tests below want it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the others, as a process to be killed"]
async fn decides() {
    let (log, database) = stage();
    let stop = CancellationToken::new();
    runner(&log, &database).run(stop).await.unwrap();
}

async fn heard() -> Street {
    let street = Street::open().await;
    for number in 0..INPUTS {
        street.hear(&format!("account{}", number % ACCOUNTS)).await;
    }
    street
}

async fn dies(street: &Street, crash: Crash) {
    crash
        .of("crash::decides", &street.broker, &street.postgres)
        .await;
}

async fn goes_on(street: &Street) {
    let running = street.start();
    street.told_all(i64::try_from(INPUTS).unwrap()).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_before_a_crash_is_told_once_after_it() {
    // Side by side: the group waits for the dead one's session to end.
    let points = [
        "committing",
        "committing:3",
        "committed",
        "told-some",
        "told-some:5",
        "told",
        "told:2",
    ];
    join_all(points.map(dies_telling)).await;
}

async fn dies_telling(at: &'static str) {
    let street = heard().await;
    dies(&street, Crash::at(at)).await;
    let (told, _) = street.told().await;
    let told: usize = told.values().map(Vec::len).sum();
    goes_on(&street).await;
    let repeats = exactly_once(&street, INPUTS).await;
    match at {
        "committing" => assert_eq!((told, repeats), (0, 0), "{at}"),
        "told" => assert!(told > 0 && repeats == 0, "{at}: found, and not told again"),
        _ => {}
    }
    let outputs = verify::engine(&street.log, &Counting, Topic::Account).await;
    assert_eq!(outputs.unwrap(), 2 * INPUTS, "{at}");
}

/// What leaves the outbox before the log has it can be lost, and is found out.
#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_that_forgets_too_early_is_found_out() {
    let street = heard().await;
    let crash = Crash {
        at: "told-some",
        without: Some(Guard::OutboxUntilTold),
    };
    dies(&street, crash).await;
    goes_on(&street).await;
    let verdict = verify::engine(&street.log, &Counting, Topic::Account).await;
    let found = verdict.unwrap_err().to_string();
    assert!(
        found.contains("lost") || found.contains("follows"),
        "{found}"
    );
}
