//! Judges of made-up transfers; the real ones are broken in the lab tests of the program.

use std::net::{IpAddr, SocketAddr};

use super::tests::{WIFI, codes, only, with_trial};
use super::*;
use crate::auto::Rival;
use crate::{Address, EndpointFlags, Hop, Limits, Prefix, Route, Rule};

#[test]
fn boxes_are_told_from_servers_by_trying_each_path() {
    let with = |wifi: Outcome, lte: Outcome| {
        let mut facts = with_trial();
        let trial = facts.trial.as_mut().expect("a trial");
        trial.outcome = Some(wifi.clone());
        trial.probes[0].outcome = wifi;
        trial.probes[1].outcome = lte;
        trial.paths.truncate(1);
        facts
    };
    for (outcome, code) in [
        (Outcome::Stripped, "path-strips"),
        (Outcome::SynDropped, "path-drops-syn"),
        (Outcome::SynReset, "path-resets-syn"),
        (Outcome::FellBack, "path-falls-back"),
        (Outcome::NoConnection("timed out".into()), "path-dead"),
    ] {
        let facts = with(Outcome::Mptcp, outcome.clone());
        assert_eq!(codes(&facts), [code]);
        assert_eq!(judge(&facts)[0].subject.as_deref(), Some("lte"));
        assert_eq!(Verdict::of(&judge(&facts)), Verdict::Findings);
        if !matches!(outcome, Outcome::NoConnection(_)) {
            let first = with(outcome, Outcome::Mptcp);
            assert_eq!(codes(&first), [code]);
            assert_eq!(Verdict::of(&judge(&first)), Verdict::NoMptcp);
        }
    }
    assert_eq!(codes(&with(Outcome::Stripped, Outcome::Stripped)), ["peer-without-mptcp"]);
    let nowhere = || Outcome::NoConnection("refused".into());
    assert_eq!(judge(&with(nowhere(), nowhere()))[0].code, Code::Unreachable);
    // Something answers on a link, and not as the server does: a login page, say. That says nothing about MPTCP.
    let failed = || Outcome::Failed("the certificate is another's".into());
    assert_eq!(codes(&with(Outcome::Mptcp, failed())), ["path-fails"]);
    let silent = with(failed(), failed());
    assert_eq!(codes(&silent), ["no-answer"]);
    assert_eq!(Verdict::of(&judge(&silent)), Verdict::Findings);
    assert_eq!(codes(&with(failed(), Outcome::Mptcp)), ["no-answer", "path-fails"]);
}

#[test]
fn a_path_that_is_missing_is_told_by_what_was_counted() {
    let with = |counters: &[(&str, u64)], paths: usize| {
        let mut facts = with_trial();
        let trial = facts.trial.as_mut().expect("a trial");
        trial.paths.truncate(paths);
        trial.paths.iter_mut().skip(1).for_each(|path| path.received = 0);
        for (name, value) in counters {
            trial.counters.0.insert(format!("MPTcpExt{name}"), *value);
        }
        facts
    };
    assert_eq!(codes(&with(&[], 1)), ["peer-forbids-joins"]);
    assert_eq!(codes(&with(&[("MPJoinSynTx", 1)], 1)), ["joins-unanswered"]);
    assert_eq!(codes(&with(&[("MPJoinSynTx", 1), ("MPJoinSynAckRx", 1)], 1)), ["peer-refuses-joins"]);
    assert_eq!(codes(&with(&[("MPJoinSynTx", 1), ("MPJoinSynAckRx", 1)], 2)), ["path-idle"]);
    let announced = with(&[("AddAddr", 1)], 1);
    assert_eq!(
        only(&announced, Code::LimitAddAddr).remedy.commands(),
        ["mphttp paths limits --subflows 2 --add-addr-accepted 8"]
    );
    // Done one after the other, the remedies for too few subflows and too few addresses leave enough of both.
    for (subflows, expected) in [(0, vec![(8, 0), (8, 8)]), (1, vec![(1, 8)])] {
        let mut facts = with(&[("AddAddr", 1)], 1);
        facts.limits = Some(Limits { subflows, add_addr_accepted: 0 });
        let actions = judge(&facts).into_iter().flat_map(|finding| finding.remedy.actions);
        let set = actions.filter_map(|action| match action {
            Action::SetLimits { to, .. } => Some((to.subflows, to.add_addr_accepted)),
            _ => None,
        });
        assert_eq!(set.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_server_forbids_joins_only_where_the_kernel_would_have_asked() {
    let mut facts = with_trial();
    let trial = facts.trial.as_mut().expect("a trial");
    trial.paths.truncate(1);
    assert_eq!(codes(&facts), ["peer-forbids-joins"]);
    let guess = |change: fn(&mut Facts)| {
        let mut facts = facts.clone();
        change(&mut facts);
        let finding = only(&facts, Code::JoinsUnanswered);
        assert_eq!(finding.certainty, Certainty::Possible);
    };
    // Before Linux 6.12.
    guess(|facts| facts.counters.0.clear());
    guess(|facts| {
        facts.settings.path_manager = Some("userspace".into());
        facts.daemons = vec![Rival::Mptcpd { pid: 7 }];
    });
    guess(|facts| facts.endpoints = None);
    guess(|facts| {
        for endpoint in facts.endpoints.iter_mut().flatten() {
            endpoint.flags = EndpointFlags { laminar: true, ..EndpointFlags::default() };
        }
    });
}

#[test]
fn proxies_are_named_with_the_way_around_them() {
    let mut facts = with_trial();
    let trial = facts.trial.as_mut().expect("a trial");
    trial.proxy = Some("http://10.1.0.2:3128".into());
    trial.via = Some("1.1 cache".into());
    assert_eq!(codes(&facts), ["proxy", "via"]);
    assert_eq!(
        only(&facts, Code::Proxy).remedy.commands(),
        [r#"export no_proxy="${no_proxy:+$no_proxy,}"10.1.0.2"#]
    );
}

#[test]
fn a_family_that_a_link_lacks_matters_to_servers_of_that_family() {
    let v6 = |link: u16, host: u16| IpAddr::from([0xfd00, link, 0, 0, 0, 0, 0, host]);
    let mut facts = with_trial();
    let host = facts.snapshot.as_mut().expect("a snapshot");
    host.interfaces[0].addresses.push(Address::new(v6(1, 1), 64));
    host.routes.push(Route {
        destination: Prefix::new(IpAddr::from([0_u16; 8]), 0),
        hops: vec![Hop { interface: Some(WIFI), gateway: Some(v6(1, 2)), ..Hop::default() }],
        ..Route::default()
    });
    host.rules.push(Rule { ipv6: true, priority: 32_766, ..Rule::default() });
    assert_eq!(codes(&facts), [""; 0]);
    let trial = facts.trial.as_mut().expect("a trial");
    trial.remote = Some(SocketAddr::new(v6(1, 2), 8000));
    trial.probes.truncate(1);
    trial.paths.truncate(1);
    assert_eq!(codes(&facts), ["family-missing"]);
    facts.ipv6_disabled.push("lte".into());
    assert_eq!(
        only(&facts, Code::Ipv6Disabled).remedy.commands(),
        ["sysctl -w net.ipv6.conf.lte.disable_ipv6=0"]
    );
    facts.sysctls.insert("net/ipv6/conf/lte/disable_ipv6".into(), "1".into());
    assert!(!only(&facts, Code::Ipv6Disabled).remedy.is_safe(), "somebody has switched it off");
}
