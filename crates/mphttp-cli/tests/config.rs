//! Options from the environment and from a file: what beats what, and what is said of mistakes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests, helpers included")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A home with this as its file, and nothing of ours in the environment.
struct Home(TempDir);

fn home(file: &str) -> Home {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join(".config/mphttp")).unwrap();
    fs::write(directory.path().join(".config/mphttp/config.toml"), file).unwrap();
    Home(directory)
}

impl Home {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mphttp"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MPHTTP_") {
                command.env_remove(name);
            }
        }
        command.env_remove("XDG_CONFIG_HOME").env("HOME", self.path()).envs(environment.iter().copied());
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command(arguments, environment).output().unwrap()
    }

    /// What is said by a program that fails.
    fn fails(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let output = self.run(arguments, environment);
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// What `config` shows of an option: its values, and whence they are.
    fn shows(&self, verb: &str, option: &str, environment: &[(&str, &str)]) -> (Vec<String>, String) {
        let arguments: Vec<_> = ["config", "--json"].into_iter().chain(verb.split(' ')).collect();
        let output = self.run(&arguments, environment);
        assert!(output.status.success(), "{output:?}");
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = shown["options"].as_array().unwrap();
        let row = rows.iter().find(|row| row["option"] == option).unwrap();
        let values = row["values"].as_array().unwrap();
        let values = values.iter().map(|value| value.as_str().unwrap().to_owned()).collect();
        (values, row["from"].as_str().unwrap().to_owned())
    }

    /// The banner of a server, which is then ended.
    fn banner(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let mut command = self.command(arguments, environment);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = String::new();
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            told.push_str(&line.unwrap());
            told.push('\n');
            if told.ends_with("Ctrl-C stops.\n") {
                break;
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        assert!(told.ends_with("Ctrl-C stops.\n"), "{told}");
        told
    }
}

const CERTIFICATE: &str = "[serve]\nport = 0\ntls-cert = '/no/file'\ntls-key = '/no/key'\n";

#[test]
fn an_argument_beats_a_variable_beats_the_file() {
    let home = home(CERTIFICATE);
    let variable = [("MPHTTP_SERVE_TLS_CERT", "/no/variable")];
    assert!(home.fails(&["serve"], &[]).contains("/no/file: "));
    assert!(home.fails(&["serve"], &variable).contains("/no/variable: "));
    assert!(home.fails(&["serve", "--tls-cert", "/no/argument"], &variable).contains("/no/argument: "));
    assert!(
        home.fails(&["serve"], &[("MPHTTP_SERVE_TLS_CERT", "")]).contains("/no/file: "),
        "empty is unset"
    );

    let file = |text| (vec![text], "file".to_owned());
    assert_eq!(home.shows("serve", "port", &[]), file("0".to_owned()));
    let (values, from) = home.shows("serve", "port", &[("MPHTTP_SERVE_PORT", "81")]);
    assert_eq!((values[0].as_str(), from.as_str()), ("81", "environment"));
    let (values, from) = home.shows("serve", "max-connections", &[]);
    assert_eq!((values[0].as_str(), from.as_str()), ("10000", "default"));
}

#[test]
fn what_is_stronger_excludes_what_it_conflicts_with() {
    // The file's certificate would be an error: it isn't looked at.
    let told = home(CERTIFICATE).banner(&["serve", "--self-signed", "--bind", "127.0.0.1"], &[]);
    assert!(told.contains("https://127.0.0.1:") && !told.contains(":8000/"), "{told}");
    let told =
        home(CERTIFICATE).banner(&["serve", "--bind", "127.0.0.1"], &[("MPHTTP_SERVE_SELF_SIGNED", "yes")]);
    assert!(told.contains("Certificate, SHA-256:"), "{told}");

    let signed = home("[serve]\nport = 0\nbind = '127.0.0.1'\nself-signed = true\n");
    assert!(signed.banner(&["serve"], &[]).contains("https://"));
    let told = signed.banner(&["serve"], &[("MPHTTP_SERVE_SELF_SIGNED", "false")]);
    assert!(told.contains("http://127.0.0.1:"), "{told}");
    let pair = ["serve", "--tls-cert", "/no/argument", "--tls-key", "/no/key"];
    assert!(signed.fails(&pair, &[]).contains("/no/argument: "));

    // What needs an option that was left out goes with it.
    let forward = home("[proxy]\nlisten = '127.0.0.1:0'\nforward = true\nallow = ['192.0.2.0/24']\n");
    let told = forward.banner(&["proxy", "--to", "http://127.0.0.1:1"], &[]);
    assert!(told.contains("Handing requests on to"), "{told}");
    assert!(forward.banner(&["proxy"], &[]).contains("this host and the allowed addresses"));
}

#[test]
fn half_of_a_pair_is_an_error_that_says_whence_it_is() {
    let home = home("[serve]\nport = 0\ntls-cert = '/no/file'\n");
    let told = home.fails(&["serve"], &[]);
    assert!(told.contains("--tls-key") && told.contains("config.toml:3"), "{told}");
    assert!(home.fails(&["serve", "--tls-key", "/no/key"], &[]).contains("/no/file: "));
}

#[test]
fn variables_that_were_there_before_mean_what_they_meant() {
    let home = home("log = 'no=filter=at=all'\n[serve]\nprotocol = 'tcp'\nport = 0\nbind = '127.0.0.1'\n");
    assert!(home.fails(&["serve"], &[]).contains("no=filter=at=all"));
    let quiet = ("MPHTTP_LOG", "off");
    assert!(home.banner(&["serve"], &[quiet]).contains("MPTCP is off"));
    let told = home.fails(&["serve"], &[quiet, ("MPHTTP_PROTOCOL", "word")]);
    assert!(told.contains("MPHTTP_PROTOCOL"), "{told}");
    // The verb's own is nearer.
    home.banner(&["serve"], &[quiet, ("MPHTTP_PROTOCOL", "word"), ("MPHTTP_SERVE_PROTOCOL", "tcp")]);
    // -v was and is stronger than MPHTTP_LOG.
    home.banner(&["serve", "-v"], &[("MPHTTP_LOG", "no=filter=at=all")]);
}

#[test]
fn mistakes_are_told_with_file_line_and_what_was_meant() {
    for (file, line, what) in [
        ("[serve]\nport = 80\nmax-conections = 1\n", 3, "did you mean max-connections?"),
        ("[serve]\n\nmax_connections = 1\n", 3, "did you mean max-connections?"),
        ("[server]\n", 1, "did you mean serve?"),
        ("# mine\nport = 80\n", 2, "such as [serve]"),
        ("[paths.auto]\nport = 1\n", 2, "no option of mphttp paths auto"),
        ("[serve]\nport = 'many'\n", 2, "invalid value 'many' for '--port <N>'"),
        ("[serve]\nport = 65536\n", 2, "65536 is not in 0..=65535"),
        ("[serve]\nport = true\n", 2, "write a text or a number, not true or false"),
        ("[serve]\nport = [1, 2]\n", 2, "one value, not a list"),
        ("[serve]\nquiet = 'yes'\n", 2, "write true or false, not a text"),
        ("[serve]\nquiet = true\nprotocol = 'udp'\n", 3, "[possible values: tcp, mptcp, mptcp-only]"),
        ("serve = 1\n", 1, "write a table, [serve]"),
        (
            "[serve]\nself-signed = true\ntls-cert = 'a'\ntls-key = 'b'\n",
            3,
            "can't stand beside self-signed of line 2",
        ),
        ("verbose = 300\n", 1, "from 0 to 255"),
        ("[serve]\nconfig = 'other'\n", 2, "config is no option of mphttp serve"),
        ("[serve]\nport = \n", 2, "it is no TOML"),
    ] {
        let home = home(file);
        // Whatever is asked for.
        for verb in [&["config"][..], &["serve"], &["get", "http://127.0.0.1:1/"]] {
            let output = home.run(verb, &[]);
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{file}{told}");
            let place = format!("config.toml:{line}: ");
            assert!(told.contains(&place) && told.contains(what) && told.contains("hint: "), "{file}{told}");
        }
    }
    let told = home("").fails(&["serve"], &[("MPHTTP_SERVE_PORT", "many")]);
    assert!(told.contains("MPHTTP_SERVE_PORT: invalid value 'many'"), "{told}");
    let told = home("").fails(&["serve"], &[("MPHTTP_SERVE_QUIET", "maybe")]);
    assert!(told.contains("MPHTTP_SERVE_QUIET: it is a switch"), "{told}");
}

#[test]
fn the_file_is_the_first_that_is_named_or_exists() {
    let home = home("[serve]\nport = 1\n");
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("2.toml"), "[serve]\nport = 2\n").unwrap();
    fs::write(path("3.toml"), "[serve]\nport = 3\n").unwrap();
    fs::create_dir_all(path("xdg/mphttp")).unwrap();
    fs::write(path("xdg/mphttp/config.toml"), "[serve]\nport = 4\n").unwrap();
    let port = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = home.run(&[&["config", "serve"], arguments].concat(), environment);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find(|line| line.starts_with("port = ")).unwrap();
        line["port = ".len()..].split_whitespace().next().unwrap().to_owned()
    };
    let (third, xdg) = (path("3.toml"), path("xdg"));
    let named = ("MPHTTP_CONFIG", third.as_str());
    assert_eq!(port(&[], &[]), "1");
    assert_eq!(port(&[], &[("XDG_CONFIG_HOME", &xdg)]), "4");
    assert_eq!(port(&[], &[named]), "3");
    assert_eq!(port(&["--config", "2.toml"], &[named]), "2");
    assert_eq!(port(&["--config", "none"], &[named]), "8000");
    assert_eq!(port(&[], &[("MPHTTP_CONFIG", "none")]), "8000");
    let told = home.fails(&["--config", "missing.toml", "config"], &[]);
    assert!(told.contains("can't read missing.toml"), "{told}");
}

#[test]
fn tables_of_inner_verbs_and_lists_reach_them() {
    let home = home("verbose = 2\n[paths]\njson = true\n[get]\nheader = ['A: 1', 'B: 2']\nlog = 'debug'\n");
    assert_eq!(
        home.shows("get", "header", &[]),
        (vec!["A: 1".to_owned(), "B: 2".to_owned()], "file".to_owned())
    );
    // Nearer to the verb than `verbose`, which it excludes.
    assert_eq!(home.shows("get", "log", &[]).1, "file");
    assert_eq!(home.shows("get", "verbose", &[]).1, "default");
    assert_eq!(home.shows("serve", "verbose", &[]), (vec!["2".to_owned()], "file".to_owned()));
    // An option whose value may be left out; "true" itself would be no origin.
    for value in ["true", "false", "['https://example.org']"] {
        let cors = self::home(&format!("[serve]\nport = 0\nbind = '127.0.0.1'\ncors = {value}\n"));
        cors.banner(&["serve"], &[]);
        cors.banner(&["serve"], &[("MPHTTP_SERVE_CORS", "true")]);
        assert!(cors.fails(&["serve"], &[("MPHTTP_SERVE_CORS", "none")]).contains("MPHTTP_SERVE_CORS: "));
    }
    let output = home.run(&["paths"], &[]);
    serde_json::from_slice::<Value>(&output.stdout).unwrap();
    assert_eq!(home.shows("paths auto", "json", &[]).1, "file");
}

#[test]
fn secrets_are_not_shown() {
    let home = home("[serve]\nauth = [\"me:in-the-file\"]\n");
    let environment = [("MPHTTP_PROXY_TOKEN", "of-the-variable"), ("MPHTTP_GET_USER", "me:of-get")];
    for arguments in
        [&["config"][..], &["config", "--json"], &["config", "proxy"], &["config", "get", "--json"]]
    {
        let output = home.run(arguments, &environment);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("(not shown)"), "{arguments:?}: {text}");
        for secret in ["in-the-file", "of-the-variable", "of-get"] {
            assert!(!text.contains(secret), "{arguments:?}: {text}");
        }
    }
}
