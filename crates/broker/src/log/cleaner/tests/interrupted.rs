//! Passes that a crash, or a full disk, ends.

use super::*;

/// What is known of the files in the folder, without those that are not the log.
fn kinds(disk: &SimDisk) -> Vec<String> {
    let mut kinds: Vec<_> = disk
        .list(&folder())
        .unwrap()
        .into_iter()
        .filter_map(|name| Some(name.rsplit_once('.')?.1.to_owned()))
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

#[test]
fn a_pass_that_is_interrupted_anywhere_loses_nothing() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    fill(&partition, 40);
    let before = read(&partition);
    let until = active_base(&partition);
    let after = model(&before, until);
    drop(partition);
    let mut seen_before = false;
    for calls in 0.. {
        let disk = disk.copy();
        let partition = open(&disk).unwrap();
        disk.stop_after(Some(calls));
        let compacted = compact(&partition, 100, 0);
        let stopped = disk.has_stopped();
        disk.stop_after(None);
        // Readers of the process that goes on, and of the next one.
        let check = |partition: &Partition, what: &str| {
            let read = read(partition);
            let lost: Vec<_> = after.keys().filter(|at| !read.contains_key(at)).collect();
            assert!(lost.is_empty(), "{what}, {calls} calls: {lost:?} are lost");
            assert!(
                read.iter()
                    .all(|(at, record)| before.get(at) == Some(record))
            );
            read.len()
        };
        check(&partition, "at once");
        for (what, again) in [
            ("killed", disk.copy()),
            ("power lost", disk.after_power_loss(0)),
            ("power lost, some written", disk.after_power_loss(300)),
        ] {
            // It is interrupted again while it is opened.
            for more in (0..).take_while(|_| what == "killed") {
                let again = again.copy();
                again.stop_after(Some(more));
                let opened = open(&again);
                if !again.has_stopped() {
                    opened.unwrap();
                    break;
                }
                again.stop_after(None);
                let left = check(&open(&again.after_power_loss(0)).unwrap(), what);
                seen_before |= left == before.len();
            }
            let again = open(&again).unwrap();
            check(&again, what);
            compact(&again, 100, 0).unwrap();
            assert_eq!(read(&again), after, "{what}, {calls} calls");
        }
        if !stopped {
            assert_eq!(compacted.unwrap(), Some(Pass::Done));
            assert!(seen_before && calls > 20);
            assert_eq!(kinds(&disk), ["index", "log", "producers"]);
            return;
        }
        assert!(compacted.is_err());
    }
}

#[test]
fn a_full_disk_ends_a_pass_and_the_next_one_goes_on() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    fill(&partition, 60);
    let before = read(&partition);
    let after = model(&before, active_base(&partition));
    for room in [0, 10, 200, 600] {
        disk.fill_up_after(Some(room));
        assert!(matches!(compact(&partition, 100, 0), Err(Error::Io { .. })));
        assert!(read(&partition).len() > after.len());
        assert!(!kinds(&disk).contains(&"cleaned".into()));
    }
    disk.fill_up_after(None);
    compact(&partition, 100, 0).unwrap();
    assert_eq!(read(&partition), after);
}
