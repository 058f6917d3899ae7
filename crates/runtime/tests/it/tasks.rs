//! Tasks that end are noticed, and stages stop in order.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use compline_runtime::health::State;
use compline_runtime::{Health, RuntimeError, Shutdown, Tasks};
use tokio_util::sync::CancellationToken;

const GRACE: Duration = Duration::from_secs(5);

type Never = std::convert::Infallible;

async fn until_stopped(stop: CancellationToken) -> Result<(), Never> {
    stop.cancelled().await;
    Ok(())
}

#[tokio::test]
async fn a_failing_task_stops_the_others_and_is_named() {
    let mut tasks = Tasks::new(Shutdown::new());
    let shutdown = tasks.shutdown().clone();
    let stage = tasks.stage("loops", GRACE);
    stage.spawn("steady", until_stopped);
    stage.spawn("broken", |_| async {
        Err(std::io::Error::other("disk on fire"))
    });
    let error = tasks.run().await.unwrap_err();
    assert!(matches!(&error, RuntimeError::TaskFailed { task, .. } if task == "broken"));
    assert_eq!(error.to_string(), "broken failed: disk on fire");
    assert_eq!(shutdown.reason(), Some("broken failed: disk on fire"));
}

#[tokio::test]
async fn a_panic_and_an_early_end_are_failures_too() {
    let mut tasks = Tasks::new(Shutdown::new());
    tasks.stage("loops", GRACE).spawn("wild", |_| async {
        if true {
            panic!("index {} out of range", 7);
        }
        Ok::<_, Never>(())
    });
    let error = tasks.run().await.unwrap_err();
    assert_eq!(error.to_string(), "wild panicked: index 7 out of range");

    let mut tasks = Tasks::new(Shutdown::new());
    tasks
        .stage("loops", GRACE)
        .spawn("lazy", |_| async { Ok::<_, Never>(()) });
    let error = tasks.run().await.unwrap_err();
    assert!(matches!(error, RuntimeError::TaskEndedEarly { task } if task == "lazy"));
}

#[tokio::test]
async fn a_finite_task_may_end() {
    let shutdown = Shutdown::new();
    let mut tasks = Tasks::new(shutdown.clone());
    let stage = tasks.stage("loops", GRACE);
    stage.spawn("steady", until_stopped);
    let again = stage.clone();
    stage.spawn_finite("once", |_| async move {
        // Tasks may start tasks.
        again.spawn_finite("twice", move |_| async move {
            shutdown.begin("all done");
            Ok::<_, Never>(())
        });
        Ok::<_, Never>(())
    });
    tokio::time::timeout(GRACE, tasks.run())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn stages_stop_one_after_the_other() {
    let shutdown = Shutdown::new();
    let mut tasks = Tasks::new(shutdown.clone());
    let health = Health::new();
    let check = health.register("door");
    check.ready();
    tasks.tell(health.clone());
    let stopped = Arc::new(Mutex::new(Vec::new()));
    for name in ["doors", "engines", "stores"] {
        let stopped = stopped.clone();
        let health = health.clone();
        tasks
            .stage(name, GRACE)
            .spawn(name, move |stop| async move {
                stop.cancelled().await;
                assert_eq!(health.report()["door"], State::Stopping);
                // The first takes longest: without stages it would be last.
                let pause = if name == "doors" { 100 } else { 1 };
                tokio::time::sleep(Duration::from_millis(pause)).await;
                stopped.lock().unwrap().push(name);
                Ok::<_, Never>(())
            });
    }
    shutdown.begin("test");
    tasks.run().await.unwrap();
    assert_eq!(*stopped.lock().unwrap(), ["doors", "engines", "stores"]);
    check.ready();
    assert_eq!(
        health.report()["door"],
        State::Stopping,
        "what stops stays so"
    );
}

#[tokio::test]
async fn an_overdue_task_is_aborted_and_named() {
    let shutdown = Shutdown::new();
    let mut tasks = Tasks::new(shutdown.clone());
    let held = Arc::new(());
    let in_task = held.clone();
    let stage = tasks.stage("loops", Duration::from_millis(50));
    stage.spawn("deaf", move |_| async move {
        let _held = in_task;
        std::future::pending::<()>().await;
        Ok::<_, Never>(())
    });
    tasks.stage("stores", GRACE).spawn("store", until_stopped);
    shutdown.begin("test");
    let started = Instant::now();
    let error = tasks.run().await.unwrap_err();
    assert!(
        matches!(&error, RuntimeError::StageOverdue { tasks, .. } if tasks == "deaf"),
        "{error}"
    );
    assert!(started.elapsed() < GRACE);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(Arc::strong_count(&held), 1, "it was aborted");
}

#[tokio::test]
async fn a_failure_while_stopping_is_not_lost() {
    let shutdown = Shutdown::new();
    let mut tasks = Tasks::new(shutdown.clone());
    tasks
        .stage("loops", GRACE)
        .spawn("sore", |stop| async move {
            stop.cancelled().await;
            Err(std::io::Error::other("could not flush"))
        });
    shutdown.begin("test");
    assert_eq!(
        tasks.run().await.unwrap_err().to_string(),
        "sore failed: could not flush"
    );
}

/// Not a test of its own: the program that the test below signals.
#[tokio::test]
#[ignore = "run by the other, as a process of its own"]
async fn program() {
    let shutdown = Shutdown::new();
    shutdown.on_signals().unwrap();
    let mut tasks = Tasks::new(shutdown.clone());
    tasks
        .stage("loops", GRACE)
        .spawn("slow to stop", |stop| async move {
            println!("started");
            stop.cancelled().await;
            println!("stopping");
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok::<_, Never>(())
        });
    tasks.run().await.unwrap();
    println!("because of {}", shutdown.reason().unwrap());
}

fn signalled(signals: &[&str]) -> (Option<i32>, String) {
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tasks::program", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = program.id().to_string();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut said = String::new();
    let mut until = |word: &str| {
        for line in lines.by_ref() {
            let line = line.unwrap();
            said.push_str(&line);
            if line.contains(word) {
                return;
            }
        }
    };
    until("started");
    for signal in signals {
        assert!(
            Command::new("kill")
                .args([signal, pid.as_str()])
                .status()
                .unwrap()
                .success()
        );
        until("stopping");
    }
    until("nothing more");
    (program.wait().unwrap().code(), said)
}

#[test]
fn a_signal_stops_in_order_and_a_second_one_at_once() {
    let (code, said) = signalled(&["-TERM"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("because of SIGTERM"), "{said}");
    let started = Instant::now();
    let (code, said) = signalled(&["-INT", "-INT"]);
    assert_eq!(code, Some(130));
    assert!(!said.contains("because of"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(2));
}
