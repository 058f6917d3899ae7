use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot::{self, Receiver};

use super::{Group, Join, Joined, Sync, Synced};

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);

struct Scene {
    group: Group,
    now: Instant,
}

impl Scene {
    fn new() -> Scene {
        let now = Instant::now();
        Scene {
            group: Group::new(Duration::ZERO, now),
            now,
        }
    }

    fn later(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.group.tick(self.now);
    }

    fn ask(
        &mut self,
        id: &str,
        fresh: &str,
        instance: Option<&str>,
        metadata: &'static str,
    ) -> Receiver<Joined> {
        let (answer, joined) = oneshot::channel();
        let join = Join {
            member_id: id.into(),
            instance: instance.map(str::to_owned),
            fresh_id: fresh.into(),
            must_know_id: true,
            may_skip_assignment: false,
            client_id: "c".into(),
            client_host: "/h".into(),
            session_timeout: SESSION,
            rebalance_timeout: REBALANCE,
            protocol_type: "consumer".into(),
            protocols: vec![("range".into(), Bytes::from_static(metadata.as_bytes()))],
            answer,
        };
        self.group.join(join, self.now);
        joined
    }

    /// Both steps of a new dynamic member.
    fn join(&mut self, id: &str) -> Receiver<Joined> {
        let mut first = self.ask("", id, None, "m");
        assert_eq!(
            first.try_recv().unwrap().error,
            Some(ResponseError::MemberIdRequired)
        );
        self.ask(id, "", None, "m")
    }

    fn sync(
        &mut self,
        id: &str,
        generation: i32,
        assign: &[(&str, &'static str)],
    ) -> Receiver<Synced> {
        let (answer, synced) = oneshot::channel();
        let assignments: BTreeMap<_, _> = assign
            .iter()
            .map(|(id, part)| (id.to_string(), Bytes::from_static(part.as_bytes())))
            .collect();
        let sync = Sync {
            member_id: id.into(),
            instance: None,
            generation,
            protocol_type: None,
            protocol: None,
            assignments,
            answer,
        };
        self.group.sync(sync, self.now);
        synced
    }

    fn beat(&mut self, id: &str, generation: i32) -> Result<(), ResponseError> {
        self.group.heartbeat(id, None, generation, self.now)
    }

    /// A stable group of `a` and `b` in generation 2, led by `a`.
    fn stable_pair() -> Scene {
        let mut scene = Scene::new();
        assert_eq!(scene.join("a").try_recv().unwrap().generation, 1);
        drop(scene.sync("a", 1, &[("a", "all")]));
        let mut b = scene.join("b");
        assert!(b.try_recv().is_err(), "b waits for a");
        assert_eq!(scene.beat("a", 1), Err(ResponseError::RebalanceInProgress));
        let a = scene.ask("a", "", None, "m").try_recv().unwrap();
        assert_eq!(
            (a.generation, a.leader.as_str(), a.members.len()),
            (2, "a", 2)
        );
        assert!(b.try_recv().unwrap().members.is_empty());
        let mut waiting = scene.sync("b", 2, &[]);
        assert!(
            waiting.try_recv().is_err(),
            "b waits for the leader's assignment"
        );
        assert_eq!(
            scene
                .sync("a", 2, &[("a", "0"), ("b", "1")])
                .try_recv()
                .unwrap()
                .assignment,
            "0"
        );
        assert_eq!(waiting.try_recv().unwrap().assignment, "1");
        assert_eq!(scene.group.state(), "Stable");
        scene
    }
}

#[test]
fn one_member_is_in_at_once() {
    let mut scene = Scene::new();
    let joined = scene.join("a").try_recv().unwrap();
    assert_eq!(
        (joined.error, joined.generation, joined.leader.as_str()),
        (None, 1, "a")
    );
    assert_eq!(joined.protocol, "range");
    let synced = scene.sync("a", 1, &[("a", "all")]).try_recv().unwrap();
    assert_eq!((synced.error, &synced.assignment[..]), (None, &b"all"[..]));
    assert_eq!(scene.beat("a", 1), Ok(()));
}

#[test]
fn a_leave_calls_the_rest_and_the_old_generation_is_fenced() {
    let mut scene = Scene::stable_pair();
    let now = scene.now;
    scene.group.leave("a", None, now).unwrap();
    assert_eq!(scene.beat("a", 2), Err(ResponseError::UnknownMemberId));
    assert_eq!(scene.beat("b", 2), Err(ResponseError::RebalanceInProgress));
    assert_eq!(
        scene.group.may_commit("b", None, 2, now),
        Ok(()),
        "it may still save its work"
    );
    let b = scene.ask("b", "", None, "m").try_recv().unwrap();
    assert_eq!((b.generation, b.leader.as_str()), (3, "b"));
    assert_eq!(
        scene.group.may_commit("b", None, 2, now),
        Err(ResponseError::IllegalGeneration)
    );
    assert_eq!(
        scene.group.may_commit("b", None, 3, now),
        Err(ResponseError::RebalanceInProgress)
    );
    assert_eq!(
        scene.group.may_commit("", None, -1, now),
        Err(ResponseError::UnknownMemberId)
    );
}

#[test]
fn a_silent_member_expires_and_a_late_one_is_left_behind() {
    let mut scene = Scene::stable_pair();
    scene.later(9);
    scene.beat("b", 2).unwrap();
    scene.later(2);
    assert_eq!(scene.beat("a", 2), Err(ResponseError::UnknownMemberId));
    assert_eq!(scene.group.state(), "PreparingRebalance");

    let mut scene = Scene::stable_pair();
    let mut c = scene.join("c");
    let mut a = scene.ask("a", "", None, "m");
    for _ in 0..12 {
        assert!(a.try_recv().is_err());
        scene.later(5);
        let _ = scene.beat("b", 2);
    }
    // The rebalance's patience is over; b said that it lives and did not join.
    assert_eq!(a.try_recv().unwrap().generation, 3);
    assert_eq!(c.try_recv().unwrap().generation, 3);
    assert_eq!(scene.beat("b", 3), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_leader_that_never_assigns_is_left_behind() {
    let mut scene = Scene::new();
    drop(scene.join("a"));
    for _ in 0..13 {
        scene.later(5);
        let _ = scene.beat("a", 1);
    }
    assert_eq!(scene.group.state(), "Empty");
}

#[test]
fn a_promised_id_that_never_comes_holds_nobody_up_for_long() {
    let mut scene = Scene::new();
    drop(scene.ask("", "ghost", None, "m"));
    let mut a = scene.join("a");
    assert!(a.try_recv().is_err());
    scene.later(11);
    assert_eq!(a.try_recv().unwrap().generation, 1);
}

#[test]
fn a_static_member_keeps_its_place_and_fences_its_former_self() {
    let mut scene = Scene::new();
    let first = scene.ask("", "s-1", Some("s"), "m").try_recv().unwrap();
    assert_eq!((first.error, first.member_id.as_str()), (None, "s-1"));
    drop(scene.sync("s-1", 1, &[("s-1", "all")]));
    let mut other = scene.join("b");
    drop(scene.ask("s-1", "", Some("s"), "m"));
    let _ = other.try_recv().unwrap();
    drop(scene.sync("b", 2, &[]));
    let leader = scene.group.leader.clone();
    drop(scene.sync(&leader, 2, &[("s-1", "0"), ("b", "1")]));
    assert_eq!(scene.group.state(), "Stable");

    // It restarts as a follower, with the same subscription: nobody is called.
    scene.group.leader = "b".into();
    let back = scene.ask("", "s-2", Some("s"), "m").try_recv().unwrap();
    assert_eq!((back.generation, back.member_id.as_str()), (2, "s-2"));
    assert_eq!(scene.group.state(), "Stable");
    assert_eq!(
        scene.sync("s-2", 2, &[]).try_recv().unwrap().assignment,
        "0"
    );
    let now = scene.now;
    let fenced = scene.group.heartbeat("s-1", Some("s"), 2, now);
    assert_eq!(fenced, Err(ResponseError::FencedInstanceId));
}

#[test]
fn strangers_and_misfits_are_refused() {
    let mut scene = Scene::stable_pair();
    let stranger = scene.ask("nobody", "", None, "m").try_recv().unwrap();
    assert_eq!(stranger.error, Some(ResponseError::UnknownMemberId));
    assert_eq!(
        scene.sync("a", 1, &[]).try_recv().unwrap().error,
        Some(ResponseError::IllegalGeneration)
    );
    let (answer, mut joined) = oneshot::channel();
    let misfit = Join {
        member_id: String::new(),
        instance: None,
        fresh_id: "x".into(),
        must_know_id: true,
        may_skip_assignment: false,
        client_id: String::new(),
        client_host: String::new(),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: "consumer".into(),
        protocols: vec![("other".into(), Bytes::new())],
        answer,
    };
    scene.group.join(misfit, scene.now);
    assert_eq!(
        joined.try_recv().unwrap().error,
        Some(ResponseError::InconsistentGroupProtocol)
    );
    assert_eq!(scene.group.state(), "Stable", "and nobody was disturbed");
}
