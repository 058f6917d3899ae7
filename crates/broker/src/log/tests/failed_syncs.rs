//! A sync that fails while another one of the same file is under way, or one that comes too early.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;

/// Something that syncs.
type Work = fn(&Partition) -> Result<(), Error>;

/// Has `first` fail while `second` begins, which the disk tells nothing of it.
fn at_once(disk: &SimDisk, partition: &Arc<Partition>, first: Work, second: Work) -> [bool; 2] {
    let (on, other) = (disk.clone(), partition.clone());
    let (tell, told) = mpsc::channel();
    disk.fail_syncs(true);
    let begin = move || {
        on.fail_syncs(false);
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            tell.send(second(&other).is_err()).unwrap();
            // Nobody listens to one that has to wait.
            let _ = done.send(());
        });
        let _ = is_done.recv_timeout(Duration::from_millis(50));
    };
    disk.during(Moment::Sync, 0, Box::new(begin));
    [first(partition).is_err(), told.recv().unwrap()]
}

#[test]
fn nothing_is_shown_that_a_sync_told_of_a_failure_did_not_write() {
    let sync: Work = |partition| partition.sync().map(drop);
    let roll: Work = |partition| partition.roll_if_full(1 << 20, &SETTINGS, 0);
    for (first, second) in [(sync, sync), (sync, roll), (roll, sync)] {
        let disk = new_disk();
        let partition = Arc::new(open(&disk).unwrap());
        append(&partition, 1);
        assert_eq!(at_once(&disk, &partition, first, second), [true; 2]);
        assert_eq!(partition.high_watermark(), 0);
        assert_eq!(partition.log().segments(), 1);
    }
}

#[test]
fn a_new_start_is_not_durable_because_somebody_else_syncs_the_mark() {
    let disk = new_disk();
    let partition = Arc::new(open(&disk).unwrap());
    append(&partition, 1);
    partition.sync().unwrap();
    let sync: Work = |partition| partition.sync_mark();
    let delete: Work = |partition| partition.delete_before(2).map(drop);
    assert_eq!(at_once(&disk, &partition, sync, delete), [true; 2]);
}

#[test]
fn a_new_start_is_durable_though_somebody_else_syncs_the_mark_before_it_is_written() {
    let disk = new_disk();
    let partition = Arc::new(open(&disk).unwrap());
    append(&partition, 1);
    partition.sync().unwrap();
    let other = partition.clone();
    let sync = move || other.sync_mark().unwrap();
    disk.during(Moment::Write, 0, Box::new(sync));
    assert_eq!(partition.delete_before(2).unwrap(), 2);
    assert_eq!(start_of(&open(&disk.after_power_loss(0)).unwrap()), 2);
}
