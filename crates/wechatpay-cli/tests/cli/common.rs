//! Runs the real command, and a sandbox for it to call.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Everything that one run of the command left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The lines of stdout as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The object under `error` of the one line of stdout.
    pub(crate) fn error(&self) -> Value {
        let lines = self.json();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines[0]["error"].clone()
    }
}

/// The command with nothing of this machine's configuration.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wechatpay"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WECHATPAY_") {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// Commands that are asked for what is secret elsewhere: their stdout shows codes and openids because somebody wants them.
const ASKED: [&str; 8] = ["call", "raw", "report", "decrypt", "trigger", "demo", "describe", "explain-signature"];

/// Writes down what a run has printed, for the search for secrets.
fn keep(command: &Command, run: &Run) {
    let asked = command.get_args().any(|argument| ASKED.iter().any(|asked| argument == *asked));
    wechatpay_leaks::said(&run.stderr);
    wechatpay_leaks::said(if asked { "" } else { &run.stdout });
}

/// Runs the command to its end, with a text on its stdin.
pub(crate) fn run_with(command: &mut Command, stdin: &[u8]) -> Run {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let run = Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    keep(command, &run);
    run
}

/// Runs the command to its end.
pub(crate) fn run(arguments: &[&str]) -> Run {
    run_with(&mut command(arguments), b"")
}

/// A key or certificate of the protocol's fixtures.
pub(crate) fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wechatpay-protocol/tests/fixtures/crypto");
    folder.join(name).to_str().unwrap().to_owned()
}

/// A running `wechatpay sandbox`, ended with this value.
pub(crate) struct Sandbox {
    child: Child,
    pub(crate) ready: Value,
    pub(crate) env: BTreeMap<String, String>,
    directory: tempfile::TempDir,
}

impl Sandbox {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A sandbox with further arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let box_dir = directory.path().join("box");
        let all = [&["--dir", box_dir.to_str().unwrap(), "--seed", "7"], arguments].concat();
        let (child, ready) = start_sandbox(&all);
        let env = Self::environment(&box_dir.join("sandbox.env"));
        wechatpay_leaks::secret(env["WECHATPAY_APIV3_KEY"].as_bytes());
        wechatpay_leaks::private_key(&std::fs::read_to_string(&env["WECHATPAY_PRIVATE_KEY"]).unwrap());
        Self { child, ready, env, directory }
    }

    /// What a `sandbox.env` sets.
    fn environment(file: &Path) -> BTreeMap<String, String> {
        let env = std::fs::read_to_string(file).unwrap();
        let entry = |line: &str| {
            let (name, value) = line.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
        };
        env.lines().filter(|line| !line.starts_with('#')).filter_map(entry).collect()
    }

    /// The command with the environment of a brand of the sandbox.
    pub(crate) fn command_of_brand(&self, brand: &str, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.envs(Self::environment(&self.path("box").join("brands").join(brand).join("sandbox.env")));
        command
    }

    /// The command with the environment of another merchant of the sandbox.
    pub(crate) fn command_of(&self, mchid: &str, arguments: &[&str]) -> Command {
        let directory = self.path("box");
        let description = std::fs::read_to_string(directory.join("sandbox.json")).unwrap();
        let description: Value = serde_json::from_str(&description).unwrap();
        let merchants = description["merchants"].as_array().unwrap();
        let merchant = merchants.iter().find(|merchant| merchant["mchid"] == mchid).unwrap();
        let mut command = self.command(arguments);
        command.env("WECHATPAY_MCHID", mchid);
        command.env("WECHATPAY_SERIAL_NO", merchant["serial_no"].as_str().unwrap());
        command.env("WECHATPAY_PRIVATE_KEY", directory.join("merchants").join(mchid).join("apiclient_key.pem"));
        command
    }

    /// A path in a directory of the test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file in a directory of the test's own.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn mchid(&self) -> &str {
        self.ready["mchid"].as_str().unwrap()
    }

    /// Asks one of the sandbox's control paths.
    pub(crate) fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        // A body that nobody reads would have the connection reset under a long answer.
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        write!(
            stream,
            "{method} /_sandbox/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        self.env["WECHATPAY_BASE_URL"].trim_start_matches("http://").to_owned()
    }

    /// The command with the sandbox's environment, but for what there is to verify with.
    pub(crate) fn trusting_nobody(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        for name in ["PUBLIC_KEY_ID", "PUBLIC_KEY", "PLATFORM_CERT"] {
            command.env_remove(format!("WECHATPAY_{name}"));
        }
        command
    }

    /// The command with the sandbox's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.envs(&self.env);
        command
    }

    /// Runs the command against the sandbox; what must stay secret is nowhere in what it prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(&mut self.command(arguments), b"")
    }

    pub(crate) fn run_with(&self, command: &mut Command, stdin: &[u8]) -> Run {
        let run = run_with(command, stdin);
        let key = std::fs::read_to_string(&self.env["WECHATPAY_PRIVATE_KEY"]).unwrap();
        let secrets = key.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned);
        for secret in secrets.chain([self.env["WECHATPAY_APIV3_KEY"].clone(), "signature=".to_owned()]) {
            assert!(!run.stdout.contains(&secret) && !run.stderr.contains(&secret), "a secret is in {run:?}");
        }
        run
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `wechatpay sandbox` and reads its first line.
pub(crate) fn start_sandbox(arguments: &[&str]) -> (Child, Value) {
    let mut command = command(&["sandbox"]);
    command.args(arguments);
    first_line(command)
}

/// Starts a command and reads its first line.
pub(crate) fn first_line(mut command: Command) -> (Child, Value) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

/// Waits for a child for ten seconds at most.
pub(crate) fn exit_code(child: &mut Child) -> i32 {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    panic!("the command does not end");
}

/// Sends a signal to a child.
#[cfg(unix)]
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A server that gives every connection to `serve`; its base URL.
pub(crate) fn server(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    format!("http://{address}")
}

/// Reads the head of a request, up to and with its empty line.
pub(crate) fn head(stream: &mut TcpStream) -> Vec<u8> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    head
}

/// Passes a connection on, with one more header in its first request.
pub(crate) fn pass_on(mut near: TcpStream, address: &str, header: &str) {
    let mut far = TcpStream::connect(address).unwrap();
    let head = head(&mut near);
    let end = head.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
    far.write_all(&head[..end]).unwrap();
    far.write_all(header.as_bytes()).unwrap();
    far.write_all(b"\r\n").unwrap();
    far.write_all(&head[end..]).unwrap();
    let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let _ = std::io::copy(&mut far, &mut near);
    let _ = near.shutdown(std::net::Shutdown::Both);
}
