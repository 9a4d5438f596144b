//! What is wrong between the two hosts. The command for that is nobody's here: the box is taken away.

use netlab::{BoxKind, Segments};

use crate::clinic::{Clinic, Tests};

pub const TESTS: Tests = &[
    ("a box on the second path strips MPTCP", || boxed(1, STRIP_SYNS, "path-strips")),
    ("a box on the second path swallows MPTCP", || boxed(1, BoxKind::DropMptcpSyn, "path-drops-syn")),
    ("a box on the second path resets MPTCP", || boxed(1, BoxKind::ResetMptcpSyn, "path-resets-syn")),
    ("a box on the second path strips MPTCP later", || boxed(1, STRIP_LATER, "path-falls-back")),
    ("a box on the first path strips MPTCP", || boxed(0, STRIP_SYNS, "path-strips")),
    ("a box on the first path swallows MPTCP", || boxed(0, BoxKind::DropMptcpSyn, "path-drops-syn")),
    ("a firewall drops the second path", path_dead),
];

const STRIP_SYNS: BoxKind = BoxKind::StripMptcp { segments: Segments::Syns, direction: None };
const STRIP_LATER: BoxKind = BoxKind::StripMptcp { segments: Segments::NotSyns, direction: None };

fn boxed(link: usize, kind: BoxKind, code: &str) {
    let clinic = Clinic::new();
    clinic.bench.links[link].set_box(Some(kind)).unwrap();
    let said = clinic.doctor();
    let finding = said.finding(code);
    assert_eq!(
        (&finding["certainty"], &finding["place"]),
        (&"proven".into(), &"network".into()),
        "{finding}"
    );
    assert_eq!(finding["subject"], ["wifi", "lte"][link], "{finding}");
    // On the first path it costs MPTCP itself, on the second one only that path.
    assert_eq!(said.exit, [120, 121][link], "{}", said.json);
    clinic.bench.links[link].set_box(None).unwrap();
    if code == "path-falls-back" {
        // What has happened stays on record, as a note.
        clinic.doctor().finding("fell-back-under-way");
        clinic.assert_both_paths_carry();
    } else {
        clinic.assert_well();
    }
}

fn path_dead() {
    let clinic = Clinic::new();
    clinic.bench.links[1].set_black_hole(true).unwrap();
    let said = clinic.doctor();
    let finding = said.finding("path-dead");
    assert_eq!((&finding["subject"], &finding["certainty"]), (&"lte".into(), &"proven".into()), "{finding}");
    clinic.bench.links[1].set_black_hole(false).unwrap();
    clinic.assert_well();
}
