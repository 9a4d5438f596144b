//! No program is forgotten: each is linked from a page. That pages show what stands in the programs, the guide's test compares.

use std::{fs, path::Path};

pub fn links_the_programs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages: String = fs::read_dir(root.join("../../docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let mut linked = 0;
    for entry in fs::read_dir(root.join("src/bin")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(pages.contains(&format!("(../examples/rust/src/bin/{name})")), "{name} is not linked");
        linked += 1;
    }
    assert!(linked >= 18, "only {linked} programs were found");
}
