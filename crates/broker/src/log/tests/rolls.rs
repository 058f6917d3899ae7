//! Others while a full segment is closed.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;

/// Has a log read at each sync of a file, by a thread that must not wait.
fn read_at_each_sync(disk: &SimDisk, partition: &Arc<Partition>, read: mpsc::Sender<usize>) {
    let (on, reading) = (disk.clone(), partition.clone());
    let look = move || {
        let (done, was_done) = mpsc::channel();
        let reader = reading.clone();
        thread::spawn(move || done.send(offsets(&reader).len()));
        let seen = was_done.recv_timeout(Duration::from_secs(5));
        read.send(seen.expect("a reader waits for the disk"))
            .unwrap();
        read_at_each_sync(&on, &reading, read);
    };
    disk.during(Moment::Sync, 0, Box::new(look));
}

#[test]
fn readers_go_on_and_appends_go_to_the_next_segment() {
    let disk = new_disk();
    let partition = Arc::new(open(&disk).unwrap());
    let mut batches = 0;
    while !partition.log().is_full(200, &SETTINGS, 0) {
        append(&partition, batches);
        batches += 1;
    }
    partition.sync().unwrap();
    let (read, was_read) = mpsc::channel();
    read_at_each_sync(&disk, &partition, read);
    // Two at once: one of them rolls, the other waits for it and rolls no more.
    let other = partition.clone();
    let second = thread::spawn(move || append(&other, 0).offset);
    let mut taken = [append(&partition, 0).offset, second.join().unwrap()];
    disk.forget_meanwhile();
    taken.sort_unstable();
    assert_eq!(taken, [batches * 2, batches * 2 + 2]);
    assert_eq!(partition.log().segments(), 2);
    let read: Vec<usize> = was_read.try_iter().collect();
    assert!(read.len() > 2, "{} syncs", read.len());
    assert!(read.iter().all(|seen| *seen as i64 == batches), "{read:?}");
    partition.sync().unwrap();
    assert_eq!(end(&open(&disk.after_power_loss(0)).unwrap()), taken[1] + 2);
}
