//! Chromium, driven over its DevTools protocol: JSON messages between zero bytes, on descriptors 3 and 4.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use netlab::Host;
use serde_json::{Value, json};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(20);

/// A browser with one page; ended when dropped.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: Option<String>,
    sent: u64,
    /// What the page was told to have done wrong: refused resources, scripts that failed.
    pub errors: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts it on a host; `None`, which is said, where there is none.
    pub fn start(host: &Host) -> Option<Self> {
        let program = "/usr/bin/chromium";
        if !Path::new(program).exists() {
            eprintln!("skipped: no {program}");
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null", program])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--remote-debugging-pipe", "about:blank"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = host.spawn(command).unwrap();
        let to = child.stdin.take().unwrap();
        let messages = BufReader::new(child.stdout.take().unwrap()).split(0);
        let (sender, from) = channel();
        thread::spawn(move || {
            let values = messages.map_while(Result::ok).filter_map(|text| serde_json::from_slice(&text).ok());
            for value in values {
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        let (session, sent, errors) = (None, 0, Vec::new());
        Some(Self { child, to, from, session, sent, errors, _profile: profile })
    }

    /// Opens a page.
    pub fn open(&mut self, url: &str) {
        let target = self.call("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = self.call("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        self.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        self.call("Log.enable", &json!({}));
        self.call("Runtime.enable", &json!({}));
        self.call("Page.navigate", &json!({ "url": url }));
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        self.call("Runtime.evaluate", &parameters)["result"]["value"].clone()
    }

    pub fn text(&mut self, expression: &str) -> String {
        self.value(expression).as_str().unwrap().to_owned()
    }

    pub fn wait_for(&mut self, expression: &str) {
        let deadline = Instant::now() + SOON;
        while self.value(expression) != true {
            assert!(Instant::now() < deadline, "{}", self.text("document.documentElement.outerHTML"));
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Chooses files for an input, as a person does in the dialog; for one of folders, a folder.
    #[allow(dead_code, reason = "some tests have nothing to choose")]
    pub fn choose(&mut self, selector: &str, paths: &[&Path]) {
        let root = self.call("DOM.getDocument", &json!({}))["root"]["nodeId"].clone();
        let found = self.call("DOM.querySelector", &json!({ "nodeId": root, "selector": selector }));
        self.call("DOM.setFileInputFiles", &json!({ "nodeId": found["nodeId"], "files": paths }));
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut answer = self.from.recv_timeout(SOON).unwrap_or_else(|error| panic!("{method}: {error}"));
            if answer["id"] == self.sent {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
            let wrong = match answer["method"].as_str() {
                Some("Log.entryAdded") => answer["params"]["entry"]["level"] == "error",
                Some("Runtime.exceptionThrown") => true,
                _ => false,
            };
            if wrong {
                self.errors.push(answer["params"].to_string());
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
