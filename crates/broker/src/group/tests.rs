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

    // It restarts as a follower, and nobody is called.
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

impl Scene {
    /// A stable group of one static member `s` under the id `s-1`, in generation 1.
    fn stable_static() -> Scene {
        let mut scene = Scene::new();
        drop(scene.ask("", "s-1", Some("s"), "m"));
        drop(scene.sync("s-1", 1, &[("s-1", "all")]));
        assert_eq!(scene.group.state(), "Stable");
        scene
    }

    fn come_back(&mut self, id: &str, may_skip_assignment: bool, protocols: &[&str]) -> Joined {
        let (answer, mut joined) = oneshot::channel();
        let protocols = protocols.iter();
        let join = Join {
            member_id: String::new(),
            instance: Some("s".into()),
            fresh_id: id.into(),
            must_know_id: true,
            may_skip_assignment,
            client_id: "c".into(),
            client_host: "/h".into(),
            session_timeout: SESSION,
            rebalance_timeout: REBALANCE,
            protocol_type: "consumer".into(),
            protocols: protocols
                .map(|name| (name.to_string(), Bytes::from_static(b"other")))
                .collect(),
            answer,
        };
        self.group.join(join, self.now);
        joined.try_recv().unwrap()
    }
}

#[test]
fn a_static_leader_that_comes_back_assigns_nothing_and_keeps_what_it_had() {
    let mut scene = Scene::stable_static();
    let back = scene.come_back("s-2", true, &["range"]);
    assert_eq!((back.generation, back.leader.as_str()), (1, "s-2"));
    assert_eq!((back.skip_assignment, back.members.len()), (true, 1));
    assert_eq!(
        scene.sync("s-2", 1, &[]).try_recv().unwrap().assignment,
        "all"
    );

    // One that does not know that it may skip the assignment is not told that it leads.
    let back = scene.come_back("s-3", false, &["range"]);
    assert_eq!((back.generation, back.leader.as_str()), (1, "s-2"));
    assert_eq!((back.skip_assignment, back.members.len()), (false, 0));
    assert_eq!(
        scene.sync("s-3", 1, &[]).try_recv().unwrap().assignment,
        "all"
    );
    assert_eq!(scene.group.state(), "Stable");

    // Another strategy needs another assignment.
    let back = scene.come_back("s-4", true, &["sticky", "range"]);
    assert_eq!((back.generation, back.protocol.as_str()), (2, "sticky"));
    assert_eq!(scene.group.state(), "CompletingRebalance");
}

#[test]
fn a_static_member_leaves_by_its_instance_or_when_its_session_ends() {
    let mut scene = Scene::stable_static();
    let now = scene.now;
    let unknown = Err(ResponseError::UnknownMemberId);
    assert_eq!(scene.group.leave("", Some("t"), now), unknown);
    let fenced = Err(ResponseError::FencedInstanceId);
    assert_eq!(scene.group.leave("s-0", Some("s"), now), fenced);
    assert_eq!(scene.group.leave("", Some("s"), now), Ok(()));
    assert_eq!(scene.group.state(), "Empty");

    let mut scene = Scene::stable_static();
    scene.later(11);
    let now = scene.now;
    assert_eq!(scene.group.state(), "Empty");
    assert_eq!(scene.group.heartbeat("s-1", Some("s"), 1, now), unknown);
    let again = scene.come_back("s-2", true, &["range"]);
    assert_eq!((again.generation, again.skip_assignment), (3, false));
}

#[test]
fn an_absent_static_member_keeps_its_share_in_a_rebalance() {
    let mut scene = Scene::new();
    drop(scene.ask("", "s-1", Some("s"), "m"));
    drop(scene.sync("s-1", 1, &[("s-1", "all")]));
    let mut a = scene.join("a");
    for _ in 0..12 {
        assert!(a.try_recv().is_err(), "a waits for the static one");
        scene.later(5);
        let now = scene.now;
        let _ = scene.group.heartbeat("s-1", Some("s"), 1, now);
    }
    let joined = a.try_recv().unwrap();
    assert_eq!((joined.generation, joined.leader.as_str()), (2, "a"));
    assert_eq!(joined.members.len(), 2, "the static one is assigned to");
}

#[test]
fn who_commits_without_a_group_may_do_so_while_it_is_empty() {
    let mut scene = Scene::new();
    let now = scene.now;
    assert_eq!(scene.group.may_commit("", None, -1, now), Ok(()));
    assert_eq!(scene.group.may_commit("tool", None, -1, now), Ok(()));
    let mut scene = Scene::stable_pair();
    let unknown = Err(ResponseError::UnknownMemberId);
    for member in ["", "tool"] {
        assert_eq!(scene.group.may_commit(member, None, -1, now), unknown);
    }
    let old = Err(ResponseError::IllegalGeneration);
    assert_eq!(scene.group.may_commit("a", None, 1, now), old);
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
