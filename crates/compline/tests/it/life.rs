//! The generator: deterministic, true to its word, and varied.

use std::collections::{BTreeMap, BTreeSet};

use compline::simulate::{
    generator::{BURST, Delivery, Kind, Life, Plan, Says},
    model::{Effect, Model},
};
use serde_json::Value;

fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        accounts: vec!["7001".into(), "7002".into(), "7003".into()],
        ads: 200,
        first_ad: 238_000_000_000,
        begins_at: 1_800_000_000,
        rate: 500.0,
    }
}

fn life(seed: u64, deliveries: usize) -> Vec<Delivery> {
    Life::new(plan(seed)).take(deliveries).collect()
}

#[test]
fn the_same_seed_plays_the_same_life_and_another_one_another() {
    assert_eq!(life(7, 2000), life(7, 2000));
    assert_ne!(life(7, 100), life(8, 100));
}

#[test]
fn every_kind_comes_and_bursts_are_full() {
    let mut kinds: BTreeMap<Kind, u32> = BTreeMap::new();
    for delivery in life(1, 10_000) {
        *kinds.entry(delivery.kind).or_default() += 1;
        if delivery.kind == Kind::Burst {
            assert_eq!(delivery.changes as usize, BURST);
            assert!(delivery.body.len() < 4 << 20, "ingress would refuse it");
        }
    }
    assert_eq!(kinds.len(), 10, "{kinds:?}");
}

/// The facts must be what stands in the body, or the comparison at the end of a
/// run compares with a dream.
#[test]
fn a_body_says_what_its_facts_say() {
    let plan = plan(3);
    for delivery in life(3, 3000) {
        if delivery.facts.is_empty() {
            continue;
        }
        let body: Value = serde_json::from_slice(&delivery.body).unwrap();
        let mut told = Vec::new();
        for entry in body["entry"].as_array().unwrap() {
            assert_eq!(entry["id"], plan.accounts[delivery.lane].as_str());
            for change in entry["changes"].as_array().unwrap() {
                told.push((entry["time"].as_i64().unwrap(), change.clone()));
            }
        }
        assert_eq!(told.len(), delivery.facts.len());
        assert_eq!(told.len(), delivery.changes as usize);
        for ((time, change), fact) in told.iter().zip(&delivery.facts) {
            let value = &change["value"];
            let ad = (plan.first_ad + u64::from(fact.ad)).to_string();
            assert_eq!(*time, fact.time);
            assert_eq!(fact.account, delivery.lane);
            match fact.says {
                Says::Status { new, .. } => {
                    assert_eq!(
                        (&value["ad_id"], &value["status"]),
                        (&ad.into(), &new.into())
                    );
                }
                Says::Issue { code } => {
                    assert_eq!(
                        (&value["id"], &value["error_code"]),
                        (&ad.into(), &code.into())
                    );
                }
                Says::NoValue => assert_eq!(value["object_id"], ad.as_str()),
            }
        }
    }
}

#[test]
fn an_ad_belongs_to_one_account_and_late_changes_change_no_current_status() {
    let mut accounts: BTreeMap<u32, usize> = BTreeMap::new();
    let mut ads = BTreeSet::new();
    let mut model = Model::default();
    for delivery in life(5, 5000) {
        for fact in &delivery.facts {
            assert_eq!(
                *accounts.entry(fact.ad).or_insert(fact.account),
                fact.account
            );
            ads.insert(fact.ad);
            let effect = model.fold(fact);
            if delivery.kind == Kind::Late {
                assert_ne!(effect, Effect::Current, "{fact:?}");
            }
        }
    }
    assert_eq!(ads.len(), 200, "every ad has a life");
}
