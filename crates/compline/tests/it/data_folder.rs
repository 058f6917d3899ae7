//! What other processes find in a data folder, whatever happened to its street.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use compline::street::{
    Addresses, DatabaseAccess, Found, LockError, RunFile, Street, write_private,
};
use time::OffsetDateTime;

fn run_file(pid: u32) -> RunFile {
    let address = "127.0.0.1:1".parse().unwrap();
    RunFile {
        pid,
        version: "0.1.0".into(),
        started_at: OffsetDateTime::UNIX_EPOCH,
        stopping: false,
        addresses: Addresses {
            ingress: address,
            query: address,
            command: address,
            admin: address,
            kafka: "127.0.0.1:2".into(),
            postgres: address,
        },
        topic_prefix: String::new(),
        database: DatabaseAccess {
            url: "postgres://127.0.0.1:1/compline".into(),
            owner_password: "hunter2".into(),
            query_password: "hunter2".into(),
        },
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_running_street_is_found_and_its_folder_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let street = Street::at(folder.path().join("data"));
    assert!(matches!(street.find().unwrap(), Found::NotRunning));
    street.make_folder().unwrap();
    let lock = street.lock().unwrap();
    assert!(matches!(street.find().unwrap(), Found::Starting { .. }));
    let expected = run_file(std::process::id());
    street.announce(&expected).unwrap();
    assert_eq!(street.running().unwrap(), expected);

    street.announce_stop(expected);
    let pid = std::process::id();
    assert!(matches!(street.find().unwrap(), Found::Stopping { pid: of } if of == pid));
    let said = street.running().unwrap_err().to_string();
    assert!(
        said.contains(&format!("is stopping (process {pid})")),
        "{said}"
    );

    // A second one on the same folder says who has it and leaves.
    let error = street.lock().unwrap_err();
    let held = error.downcast_ref::<LockError>();
    assert!(
        matches!(held, Some(LockError::Held { pid: Some(pid) }) if *pid == std::process::id()),
        "{error:#}"
    );
    drop(lock);
    assert!(matches!(street.find().unwrap(), Found::NotRunning));
}

/// The run file outlives a kill -9; the lock does not.
#[test]
fn what_a_killed_street_leaves_means_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let street = Street::at(folder.path());
    street.announce(&run_file(4_000_000)).unwrap();
    assert!(matches!(street.find().unwrap(), Found::NotRunning));
    let error = street.running().unwrap_err().to_string();
    assert!(error.contains("no street is running"), "{error}");

    // The next street has the lock and has not announced itself yet.
    let _lock = street.lock().unwrap();
    assert!(matches!(street.find().unwrap(), Found::Starting { .. }));
}

#[test]
fn nobody_else_reads_what_is_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let street = Street::at(folder.path().join("data"));
    street.make_folder().unwrap();
    assert_eq!(mode(street.folder()) & 0o066, 0, "others may not list it");
    let key = street.api_key_file();
    fs::write(&key, "old").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    write_private(&key, "cpl_new\n").unwrap();
    assert_eq!(fs::read_to_string(&key).unwrap(), "cpl_new\n");
    assert_eq!(mode(&key), 0o600);
    street.announce(&run_file(1)).unwrap();
    assert_eq!(mode(&street.folder().join("street.json")), 0o600);
    let parts = fs::read_dir(street.folder()).unwrap();
    assert_eq!(
        parts.count(),
        3,
        "key, run file and log; nothing half-written is left"
    );
    assert_eq!(
        mode(&street.log_folder()),
        0o700,
        "the log holds webhooks as they came"
    );
}

#[test]
fn a_folder_of_other_things_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.path().join("thesis.tex"), "all of it").unwrap();
    let said = format!("{:#}", Street::at(folder.path()).make_folder().unwrap_err());
    assert!(said.contains("holds other things"), "{said}");
    assert_eq!(mode(folder.path()), 0o755);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    fs::remove_file(folder.path().join("thesis.tex")).unwrap();
    Street::at(folder.path()).make_folder().unwrap();
    assert_eq!(mode(folder.path()), 0o755, "it was there before");
    Street::at(folder.path()).make_folder().expect("it is ours");
}
