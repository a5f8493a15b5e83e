//! What is registered, against what runs and what others read.

use std::collections::{BTreeMap, BTreeSet};

use super::super::seen::{Instance, Registered, Seen};
use super::super::{Finding, Kind, Severity};
use super::count;

pub(super) fn check(seen: &Seen, found: &mut Vec<Finding>) {
    for service in seen.services() {
        drift(seen, service, found);
    }
    let Some(map) = &seen.map else { return };
    let breaking = crate::check::check(map, &[]).into_iter();
    let breaking = breaking.filter(|one| one.kind == crate::check::Kind::BreakingChange);
    found.extend(breaking.map(|one| {
        Finding::new(Severity::Error, Kind::BreakingChange, one.subject, one.what, one.fix).with(one.details)
    }));
}

/// Instances that run another contract than is registered, or than each other.
fn drift(seen: &Seen, service: &str, found: &mut Vec<Finding>) {
    let instances: Vec<&Instance> = seen.instances_of(service).collect();
    if instances.is_empty() {
        return;
    }
    let registered = seen.contract_of(service);
    let others: Vec<&&Instance> = instances
        .iter()
        .filter(|one| registered.is_some_and(|registered| differs(one, registered)))
        .collect();
    let versions: BTreeSet<&str> = instances.iter().map(|one| one.version.as_str()).collect();
    let contracts: BTreeMap<&str, usize> = instances
        .iter()
        .filter_map(|one| one.data.contract.as_deref())
        .fold(BTreeMap::new(), |mut all, one| {
            *all.entry(one).or_default() += 1;
            all
        });
    let details = |of: &[&&Instance]| {
        of.iter().map(|one| format!("{}, version {}", one.told(), one.version)).collect::<Vec<_>>()
    };
    let fix = "let the rollout end: bring all instances to one build. Until then what one of them emits another may not know";
    if !others.is_empty() {
        let what = format!(
            "{} of {} run another contract than the one that is registered",
            others.len(),
            count(instances.len() as u64, "instance")
        );
        let told = details(&others);
        found.push(Finding::new(Severity::Warning, Kind::ContractDrift, service, what, fix).with(told));
    } else if contracts.len() > 1 {
        let what = format!("its instances run {} contracts", contracts.len());
        let told = details(&instances.iter().collect::<Vec<_>>());
        found.push(Finding::new(Severity::Warning, Kind::ContractDrift, service, what, fix).with(told));
    } else if versions.len() > 1 {
        let versions = versions.into_iter().collect::<Vec<_>>().join(", ");
        found.push(Finding::new(
            Severity::Note,
            Kind::ContractDrift,
            service,
            format!("its instances are of versions {versions}, with one contract"),
            "nothing, if a rollout is under way",
        ));
    }
}

/// By the fingerprint; of an instance that does not say it, by what it pulls from.
fn differs(instance: &Instance, registered: &Registered) -> bool {
    if let Some(contract) = &instance.data.contract {
        return *contract != registered.fingerprint;
    }
    let contract = &registered.contract;
    let declared: BTreeSet<String> = contract
        .handlers
        .iter()
        .flat_map(|one| {
            one.consumes.iter().map(|event| (one.name.as_str(), event.as_str().replace('.', "_")))
        })
        .map(|(handler, event)| format!("{}_{handler}_{event}", contract.service))
        .collect();
    instance.consumers.iter().cloned().collect::<BTreeSet<_>>() != declared
}
