//! Asking a model: each provider's real wire, streamed, with all that can go wrong on it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

#[path = "common/model_server.rs"]
mod model_server;

use domain::brain::transcript::{CallResult, Message};
use model_server::{ModelServer, Play};
use serde_json::json;
use workers::brains::{Answered, Brains, Meter, NoAnswer, OfferedTool, Question};

const PROVIDERS: [&str; 4] = ["anthropic", "openai", "gemini", "ollama"];

fn brains(server: &ModelServer, provider: &str, more: &str) -> Brains {
    Brains::open(toml::from_str(&server.settings(provider, more)).unwrap()).unwrap()
}

fn question() -> Question {
    Question {
        system: "You are tested.".to_owned(),
        messages: vec![Message::User("What is in a.txt?".to_owned())],
        tools: vec![OfferedTool {
            name: "files__read_file".to_owned(),
            description: "Reads a file".to_owned(),
            schema: json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}),
        }],
    }
}

async fn ask(server: &ModelServer, provider: &str) -> Result<Answered, NoAnswer> {
    metered(server, provider).await.0
}

async fn metered(server: &ModelServer, provider: &str) -> (Result<Answered, NoAnswer>, Meter) {
    let mut meter = Meter::default();
    (brains(server, provider, "").ask("main", question(), &mut meter).await, meter)
}

#[tokio::test]
async fn every_provider_says_words_and_calls_and_hears_results() {
    for provider in PROVIDERS {
        let calls = vec![
            ("files__read_file".to_owned(), json!({"path": "a.txt"})),
            ("files__read_file".to_owned(), json!({"path": "März \"b\".txt", "deep": {"n": 1.5}})),
        ];
        let server = ModelServer::start([Play::Call(calls.clone()), Play::Say("It says „grün“, a colour.")]).await;
        let (first, used) = metered(&server, provider).await;
        let first = first.unwrap();
        assert_eq!(first.answer.text, "I look.", "{provider}");
        let got: Vec<_> = first.answer.calls.iter().map(|c| (c.name.clone(), c.arguments.clone())).collect();
        assert_eq!(got, calls, "{provider}");
        let cached_tokens = if provider == "ollama" { 0 } else { 60 };
        let told = Meter { input_tokens: 100, cached_tokens, output_tokens: 20, is_estimated: false };
        assert_eq!((used, first.answer.estimated), (told, false), "{provider}");
        // 100 read at 3, 20 written at 15 dollars a million.
        assert_eq!(brains(&server, provider, "").cost_microusd("main", &used), 600);

        let mut next = question();
        // What is kept is read again from the journal's text.
        let kept = serde_json::to_string(&first.answer).unwrap();
        next.messages.push(Message::Model(serde_json::from_str(&kept).unwrap()));
        let results = first.answer.calls.iter().enumerate().map(|(i, c)| CallResult {
            id: c.id.clone(),
            name: c.name.clone(),
            text: format!("the content of file {i}"),
        });
        next.messages.push(Message::Results(results.collect()));
        let second = brains(&server, provider, "").ask("main", next, &mut Meter::default()).await.unwrap();
        assert_eq!(second.answer.text, "It says „grün“, a colour.", "{provider}");
        assert!(second.answer.calls.is_empty() && !second.answer.cut_off);
        let asked = server.asked();
        let body = asked[1].1.to_string();
        for part in ["You are tested.", "the content of file 0", "the content of file 1", "files__read_file", "I look."]
        {
            assert!(body.contains(part), "{provider} was not sent {part:?}: {body}");
        }
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart() {
    for provider in PROVIDERS {
        let limited = Play::Refuse(429, "retry-after: 7\r\n", "{\"error\": {\"message\": \"slow down\"}}");
        let server = ModelServer::start([
            limited,
            Play::Refuse(401, "", "{\"error\": {\"message\": \"invalid x-api-key\"}}"),
            Play::Refuse(529, "", "{\"error\": {\"message\": \"overloaded\"}}"),
            Play::Refuse(302, "location: http://127.0.0.1:1/\r\n", ""),
            Play::BreakOff,
            Play::Nonsense,
        ])
        .await;
        match ask(&server, provider).await.unwrap_err() {
            NoAnswer::Later { reason, retry_after } => {
                assert!(reason.contains("429") && reason.contains("slow down"), "{provider}: {reason}");
                assert_eq!(retry_after.map(|d| d.as_secs()), Some(7), "{provider}");
            }
            other @ NoAnswer::Never { .. } => panic!("{provider}: {other:?}"),
        }
        let denied = ask(&server, provider).await.unwrap_err();
        assert!(matches!(&denied, NoAnswer::Never { reason } if reason.contains("401")), "{provider}: {denied:?}");
        let overloaded = ask(&server, provider).await.unwrap_err();
        assert!(
            matches!(&overloaded, NoAnswer::Later { reason, .. } if reason.contains("529")),
            "{provider}: {overloaded:?}"
        );
        let led_away = ask(&server, provider).await.unwrap_err();
        assert!(matches!(&led_away, NoAnswer::Never { .. }), "no redirect is followed: {provider}: {led_away:?}");
        for what in ["broken off", "nonsense"] {
            let later = ask(&server, provider).await;
            assert!(matches!(&later, Err(NoAnswer::Later { .. })), "{what}, {provider}: {later:?}");
        }
        assert_eq!(server.unplayed(), 0);
    }
}

#[tokio::test]
async fn broken_arguments_are_handed_on_and_a_long_answer_is_known_for_it() {
    for provider in PROVIDERS {
        let server =
            ModelServer::start([Play::BrokenCall("files__read_file".to_owned()), Play::CutShort("So much to")]).await;
        match ask(&server, provider).await {
            Ok(answered) => {
                let call = answered.answer.calls.first().unwrap_or_else(|| panic!("{provider}: {answered:?}"));
                assert!(!call.arguments.is_object(), "{provider}: {call:?}");
            }
            // A provider's own reading of a broken call is no answer, and is asked for again.
            Err(no) => assert!(matches!(no, NoAnswer::Later { .. }), "{provider}: {no:?}"),
        }
        let cut = ask(&server, provider).await.unwrap();
        assert!(cut.answer.cut_off && cut.answer.text == "So much to", "{provider}: {cut:?}");
    }
}

#[tokio::test]
async fn silence_has_an_end_and_a_model_that_is_away_is_named() {
    let server = ModelServer::start([Play::Silence]).await;
    let quick = brains(&server, "openai", "timeout_s = 1");
    let mut used = Meter::default();
    let no = quick.ask("main", question(), &mut used).await.unwrap_err();
    assert!(matches!(&no, NoAnswer::Later { reason, .. } if reason.contains("within 1 seconds")), "{no:?}");
    assert!(used.input_tokens > 10 && used.is_estimated, "it may have been read, and paid for: {used:?}");
    let no = quick.ask("other", question(), &mut Meter::default()).await.unwrap_err();
    assert!(no.reason().contains("models.toml"));
    let nobody = "[models.main]\nprovider = \"openai\"\nmodel = \"m\"\nurl = \"http://127.0.0.1:1/v1/\"\n[use]\ndefault = \"main\"\n";
    let away = Brains::open(toml::from_str(nobody).unwrap()).unwrap();
    let no = away.ask("main", question(), &mut used).await.unwrap_err();
    assert!(matches!(no, NoAnswer::Later { .. }), "{no:?}");
    assert_eq!(used, Meter::default(), "who can't be reached read nothing");
}

#[tokio::test]
async fn what_came_to_nothing_is_booked_all_the_same() {
    for provider in PROVIDERS {
        let server = ModelServer::start([
            Play::BreakOff,
            Play::Refuse(429, "", "{\"error\": {\"message\": \"slow down\"}}"),
            Play::Uncounted("Words of which nobody counts the tokens."),
        ])
        .await;
        let (broken, used) = metered(&server, provider).await;
        // Gemini counts with each piece, so that what came before the end is known.
        assert!(broken.is_err() && used.is_estimated == (provider != "gemini"), "{provider}: {used:?}");
        assert!(used.input_tokens > 10 && used.output_tokens > 0, "{provider}: {used:?}");
        let end = brains(&server, provider, "").turn_end("main", &used, Err("it broke off".to_owned())).unwrap();
        assert!(end.cost_microusd > 0 && end.input_tokens > 10, "{provider}: {end:?}");
        assert_eq!(end.error.unwrap().ends_with("(what it used is estimated)"), used.is_estimated, "{provider}");
        let (refused, used) = metered(&server, provider).await;
        assert!(refused.is_err());
        assert_eq!(used, Meter::default(), "{provider}: a refusal costs nothing");
        let (answered, used) = metered(&server, provider).await;
        assert!(answered.unwrap().answer.estimated, "{provider}");
        assert!(used.is_estimated && used.input_tokens > 10 && used.output_tokens > 5, "{provider}: {used:?}");
    }
}

#[test]
fn keys_come_from_files_and_a_missing_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    let settings = |more: &str| {
        toml::from_str(&format!(
            "[models.main]\nprovider = \"anthropic\"\nmodel = \"m\"\n{more}\n[use]\ndefault = \"main\"\n"
        ))
        .unwrap()
    };
    let named = format!("key_file = {:?}", file.display().to_string());
    let said = Brains::open(settings(&named)).unwrap_err();
    assert!(said.contains("[models.main] key_file") && said.contains("can't be read"), "{said}");
    std::fs::write(&file, "s3cret-key\n").unwrap();
    let brains = Brains::open(settings(&named)).unwrap();
    assert!(!format!("{brains:?}").contains("s3cret"));
    let said = Brains::open(settings("key_env = \"STEWARD_TEST_NO_SUCH_KEY\"")).unwrap_err();
    assert!(said.contains("STEWARD_TEST_NO_SUCH_KEY"), "{said}");
}
