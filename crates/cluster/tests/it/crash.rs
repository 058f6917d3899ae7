//! However the program ends, no server stays, and the next start just works.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use compline_cluster::{Cluster, ClusterConfig};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{alive, config, connect, folder, within};

const FOLDER: &str = "CLUSTER_TEST_FOLDER";

/// Not a test of its own: the program that the tests below kill.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the others, as a process to be killed"]
async fn program() {
    let folder = std::env::var(FOLDER).unwrap();
    let folder = Path::new(&folder);
    let cluster = Cluster::start(ClusterConfig {
        lose_data_on_crash: false,
        ..config(folder)
    })
    .await
    .unwrap();
    let mut connection = connect(&cluster, "postgres").await;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS t (a int); INSERT INTO t VALUES (1)")
        .execute(&mut connection)
        .await
        .unwrap();
    std::fs::write(folder.join("ready.part"), cluster.pid().to_string()).unwrap();
    std::fs::rename(folder.join("ready.part"), folder.join("ready")).unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
}

/// Starts [`program`] and waits for its server.
async fn program_on(folder: &Path) -> (Child, i32) {
    let _ = std::fs::remove_file(folder.join("ready"));
    let program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::program", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let ready = folder.join("ready");
    assert!(
        within(Duration::from_secs(60), || ready.is_file()).await,
        "the program did not start"
    );
    let pid = std::fs::read_to_string(ready).unwrap().parse().unwrap();
    (program, pid)
}

async fn rows(folder: &Path) -> i64 {
    let cluster = Cluster::start(config(folder)).await.unwrap();
    let mut connection = connect(&cluster, "postgres").await;
    let rows = sqlx::query_scalar("SELECT count(*) FROM t")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    cluster.stop().await.unwrap();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_program_leaves_no_server() {
    let folder = folder();
    let (mut program, server) = program_on(folder.path()).await;
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(
        within(Duration::from_secs(5), || !alive(server)).await,
        "the server stayed"
    );
    assert_eq!(rows(folder.path()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_right_after_a_kill_waits_for_the_former_server() {
    let folder = folder();
    let (mut program, server) = program_on(folder.path()).await;
    program.kill().unwrap();
    program.wait().unwrap();
    assert_eq!(rows(folder.path()).await, 1);
    assert!(!alive(server));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_of_everything_at_once_needs_no_cleaning() {
    let folder = folder();
    let (mut program, server) = program_on(folder.path()).await;
    // The program, the watcher, and the postmaster without a chance to remove its files.
    program.kill().unwrap();
    let server_pid = Pid::from_raw(server).unwrap();
    let group = rustix::process::getpgid(Some(server_pid)).unwrap();
    kill_process_group(group, Signal::KILL).unwrap();
    program.wait().unwrap();
    assert_eq!(rows(folder.path()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_its_watcher_is_stopped_by_the_next_start() {
    let folder = folder();
    let (mut program, server) = program_on(folder.path()).await;
    let group = rustix::process::getpgid(Pid::from_raw(server)).unwrap();
    // The group's leader is the watcher, and so is its child that waits for the pipe.
    for pid in members_named_sh(group) {
        kill_process(pid, Signal::KILL).unwrap();
    }
    program.kill().unwrap();
    program.wait().unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(alive(server), "this test needs an orphan");
    assert_eq!(rows(folder.path()).await, 1);
    assert!(!alive(server));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_the_terminal_leaves_the_server_to_the_program() {
    let folder = folder();
    let (mut program, server) = program_on(folder.path()).await;
    let program_pid = Pid::from_child(&program);
    // What a terminal does: the signal goes to the program's whole group. The program here dies of
    // it; the point is that the server is in another.
    assert_ne!(
        rustix::process::getpgid(Pid::from_raw(server)).unwrap(),
        rustix::process::getpgid(Some(program_pid)).unwrap()
    );
    kill_process_group(program_pid, Signal::INT).unwrap();
    program.wait().unwrap();
    assert!(
        within(Duration::from_secs(5), || !alive(server)).await,
        "the server stayed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_pid_file_that_names_a_stranger_is_no_obstacle() {
    let folder = folder();
    let cluster = Cluster::start(config(folder.path())).await.unwrap();
    let pid_file = cluster.data_dir().join("postmaster.pid");
    let text = std::fs::read_to_string(&pid_file).unwrap();
    cluster.stop().await.unwrap();
    // A process of the same user got the number, as after a container's restart.
    let stranger = std::process::id().to_string();
    let (_, rest) = text.split_once('\n').unwrap();
    std::fs::write(&pid_file, format!("{stranger}\n{rest}")).unwrap();
    let cluster = Cluster::start(config(folder.path())).await.unwrap();
    cluster.stop().await.unwrap();
}

fn members_named_sh(group: Pid) -> Vec<Pid> {
    let group = group.as_raw_nonzero().to_string();
    let output = Command::new("ps")
        .args(["-A", "-o", "pid=,pgid=,comm="])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (pid, its_group, name) = (fields.next()?, fields.next()?, fields.next()?);
            (its_group == group && name.ends_with("sh")).then(|| pid.parse().ok())?
        })
        .filter_map(Pid::from_raw)
        .collect()
}
