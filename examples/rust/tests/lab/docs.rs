//! The documentation is kept in step with the programs: what it shows of one stands there.

use std::{collections::BTreeSet, fs, path::Path};

pub fn shows_the_programs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("../../docs/frameworks.md")).unwrap();
    let programs: BTreeSet<_> = fs::read_dir(root.join("src/bin"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in &programs {
        assert!(text.contains(&format!("(../examples/rust/src/bin/{name})")), "{name} is not linked");
    }
    let mut shown = 0;
    for section in text.split("\n## ").skip(1) {
        // Whatever programs a section links to, without the layout of lines.
        let sources: Vec<_> = section
            .split("(../examples/rust/src/bin/")
            .skip(1)
            .map(|rest| {
                flat(&fs::read_to_string(root.join("src/bin").join(rest.split(')').next().unwrap())).unwrap())
            })
            .collect();
        for block in section.split("```rust\n").skip(1) {
            let block = flat(block.split("```").next().unwrap());
            assert!(sources.iter().any(|source| source.contains(&block)), "not in the programs: {block}");
            shown += 1;
        }
    }
    assert!(shown >= 10, "only {shown} pieces of code were found");
}

fn flat(code: &str) -> String {
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}
