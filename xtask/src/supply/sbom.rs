//! What the program is made of (SBOM), as CycloneDX 1.6: it goes with the Debian package and the static archive. The wheel has one
//! too, which maturin makes. Ours names neither a time nor a folder, so that the same sources give the same list.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::tools::tool;
use super::{Options, Outcome};
use crate::command::{cargo, command, output, root, run, target_dir};

/// The script that asks the libraries of others whether a list, a wheel or a source distribution is in order.
pub const JUDGE: &str = "xtask/supply-judge.py";

/// What the program is made of when it is built for a target (a triple; the host's if none is given), with default features.
///
/// # Errors
/// When cargo can't tell, or says something odd.
pub fn of_the_program(target: Option<&str>) -> Result<String> {
    let host = host()?;
    let target = target.unwrap_or(&host);
    let tree = output(cargo().args([
        "tree",
        "--locked",
        "--package",
        "mphttp-cli",
        "--edges",
        "normal,no-proc-macro",
        "--target",
        target,
        "--prefix",
        "depth",
        "--format",
        "{p}|{l}",
    ]))?;
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("can't read Cargo.lock")?;
    let mut list = list(&tree, &checksums(&lock))?;
    list["metadata"]["properties"] = json!([{ "name": "cdx:rustc:sbom:target:triple", "value": target }]);
    // Linked into every program, and no crate of the tree.
    let rust = output(command("rustc").arg("--version"))?;
    let version = rust.split_whitespace().nth(1).context("rustc doesn't say its version")?;
    let std = json!({
        "type": "library", "bom-ref": format!("rust-std@{version}"), "name": "rust-std", "version": version,
        "scope": "required", "licenses": [{ "expression": "MIT OR Apache-2.0" }],
    });
    if let Some(components) = list["components"].as_array_mut() {
        components.push(std);
    }
    serde_json::to_string_pretty(&list).context("can't write JSON")
}

fn host() -> Result<String> {
    let said = output(command("rustc").args(["--version", "--verbose"]))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc doesn't say its host")?.to_string())
}

/// SHA-256 of each package from a registry, by name and version.
fn checksums(lock: &str) -> BTreeMap<(&str, &str), &str> {
    let mut found = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        if let (Some(name), Some(version), Some(sum)) = (field("name"), field("version"), field("checksum")) {
            found.insert((name, version), sum);
        }
    }
    found
}

/// The list made of cargo's tree: each line its depth, `name vVERSION`, and the licence behind a bar.
fn list(tree: &str, checksums: &BTreeMap<(&str, &str), &str>) -> Result<Value> {
    let mut components: BTreeMap<String, Value> = BTreeMap::new();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut above: Vec<String> = Vec::new();
    for line in tree.lines() {
        let odd = || format!("cargo tree said something odd: {line}");
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let (depth, rest) = line.split_at(digits);
        let depth: usize = depth.parse().with_context(odd)?;
        let (package, license) = rest.split_once('|').with_context(odd)?;
        let mut words = package.split_whitespace();
        let name = words.next().with_context(odd)?;
        let version = words.next().and_then(|word| word.strip_prefix('v')).with_context(odd)?;
        // Older manifests have a slash where SPDX has OR; what cargo has shown before is marked.
        let license = license.trim_end_matches(" (*)").trim().replace('/', " OR ");
        let purl = format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"));
        above.truncate(depth);
        if let Some(parent) = above.last() {
            edges.entry(parent.clone()).or_default().insert(purl.clone());
        }
        edges.entry(purl.clone()).or_default();
        above.push(purl.clone());
        let mut component = json!({
            "type": if depth == 0 { "application" } else { "library" },
            "bom-ref": purl, "name": name, "version": version, "purl": purl,
        });
        if depth > 0 {
            component["scope"] = "required".into();
        }
        if !license.is_empty() {
            component["licenses"] = json!([{ "expression": license }]);
        }
        if let Some(sum) = checksums.get(&(name, version)) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
        }
        components.entry(purl).or_insert(component);
    }
    let top = tree.lines().next().and(above.first()).context("cargo tree said nothing")?.clone();
    let program = components.remove(&top).context("cargo tree said nothing")?;
    let depends: Vec<Value> =
        edges.into_iter().map(|(from, to)| json!({ "ref": from, "dependsOn": to })).collect();
    Ok(json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": { "component": program },
        "components": components.into_values().collect::<Vec<_>>(),
        "dependencies": depends,
    }))
}

/// The list is whole, the same twice, and valid.
pub fn check(_: &Options) -> Result<Outcome> {
    let list = of_the_program(None)?;
    ensure!(list == of_the_program(None)?, "two lists of the same sources differ");
    ensure!(!list.contains(&*root().to_string_lossy()), "the list names the folder it was made in");
    let read: Value = serde_json::from_str(&list)?;
    let components = read["components"].as_array().context("no components")?;
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    for part in ["mphttp", "mptcp-socket", "hyper", "rustls", "aws-lc-sys", "rust-std"] {
        ensure!(has(part), "{part} is not in the list, and is in the program");
    }
    for other in ["proptest", "xtask", "serde_derive"] {
        ensure!(!has(other), "{other} is in the list, and not in the program");
    }
    let foreign = |component: &&Value| component["hashes"].is_null() && component["scope"] == "required";
    let without: Vec<&str> =
        components.iter().filter(foreign).filter_map(|component| component["name"].as_str()).collect();
    let ours = ["mphttp", "mphttp-netlab", "mptcp-paths", "mptcp-socket", "rust-std"];
    ensure!(without.iter().all(|name| ours.contains(name)), "without a checksum: {}", without.join(", "));

    let path = target_dir().join("supply/mphttp.cdx.json");
    fs::create_dir_all(target_dir().join("supply"))?;
    fs::write(&path, &list)?;
    run(tool("python3")?.arg(root().join(JUDGE)).arg("sbom").arg(&path))?;
    Ok(Outcome::Holds(format!("{} components", components.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"x\"\nchecksum = \"ab12\"\n\n\
                        [[package]]\nname = \"top\"\nversion = \"0.1.0\"\n";
    const TREE: &str = "0top v0.1.0 (/somewhere/top)|MIT OR Apache-2.0\n1a v1.0.0|MIT/Apache-2.0\n2b v2.0.0+x|ISC\n1b v2.0.0+x|ISC (*)\n";

    #[test]
    fn the_tree_becomes_components_and_edges() {
        let list = list(TREE, &checksums(LOCK)).unwrap();
        assert_eq!(list["metadata"]["component"]["purl"], "pkg:cargo/top@0.1.0");
        let components = list["components"].as_array().unwrap();
        assert_eq!(components.len(), 2, "what appears twice is listed once");
        assert_eq!(components[0]["hashes"][0]["content"], "ab12");
        assert_eq!(components[0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(components[1]["licenses"][0]["expression"], "ISC");
        let edges = &list["dependencies"];
        assert_eq!(edges[0], json!({ "ref": "pkg:cargo/a@1.0.0", "dependsOn": ["pkg:cargo/b@2.0.0%2Bx"] }));
        assert_eq!(edges[1]["dependsOn"], json!([]));
        assert_eq!(edges[2]["dependsOn"], json!(["pkg:cargo/a@1.0.0", "pkg:cargo/b@2.0.0%2Bx"]));
        assert!(!list.to_string().contains("/somewhere"));
    }

    #[test]
    fn a_line_that_is_none_of_a_tree_is_an_error() {
        for tree in ["", "top v0.1.0|MIT", "0top 0.1.0|MIT", "0top v0.1.0"] {
            assert!(list(tree, &BTreeMap::new()).is_err(), "{tree}");
        }
    }
}
