//! One's second factor: begun with a picture for the app, confirmed by its first code, recovered, taken away.

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use domain::second_factor::{self, Enrolment};
use maud::{Markup, PreEscaped, html};
use qrcode::{EcLevel, QrCode, render::svg};

use super::{
    form::Form,
    layout::{Reader, fault_notice, shell, token},
    parts::{say, state_as, time},
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    session::{self, Signed},
};

/// Characters of what an app is given, at most; it comes back with the form.
const URI_CHARS: usize = 1000;

/// What the page shows this time.
#[derive(Debug, Default)]
struct Shown {
    /// A second factor that waits for its first code.
    begun: Option<Enrolment>,
    /// Recovery codes: shown this once.
    codes: Vec<String>,
}

/// `GET /account/second-factor`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    render(&app, &me, Form::default(), &Shown::default()).await
}

async fn render(app: &App, me: &Reader, form: Form<'_>, shown: &Shown) -> Result<Markup> {
    let state = second_factor::state(app.store(), &me.actor).await?;
    Ok(shell(
        me,
        "Second factor",
        "/account",
        &html! {
            p.crumbs { a href="/account" { "My account" } }
            h1 { "Second factor" }
            p.lead { "An app on your phone makes a new code every 30 seconds. A log-in then asks for it besides the password." }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            @if !shown.codes.is_empty() { (code_list(&shown.codes)) }
            @match (&shown.begun, state.is_on) {
                (Some(begun), false) => (confirm_form(me, form, begun)),
                (_, true) => {
                    p { (state_as("active", "on")) @if let Some(at) = state.confirmed_at { " since " (time(at)) } " · " (state.recovery_codes_left) " recovery codes are left" }
                    (again(me, form, "/account/second-factor/codes", "Make new recovery codes", "", "They take the place of all before."))
                    (again(me, form, "/account/second-factor/remove", "Take it away", "danger", "From then on the password alone lets you in."))
                }
                _ => {
                    p { (state_as("paused", "off")) }
                    (again(me, form, "/account/second-factor/begin", "Set it up", "primary", "You need an authenticator app: any that knows TOTP will do."))
                }
            }
        },
    ))
}

/// A form with one button; whoever has not just shown who it is gives the password too.
fn again(me: &Reader, form: Form<'_>, action: &str, label: &str, class: &str, hint: &str) -> Markup {
    html! {
        form.form method="post" action=(action) data-once="" {
            (token(me))
            @if !domain::sign_in::is_fresh(&me.session) {
                @let id = action.rsplit('/').next().unwrap_or_default();
                div.field {
                    label for=(id) { "Your password, once more" }
                    input id=(id) name="password" type="password" autocomplete="current-password" maxlength="1000" aria-invalid=[form.fault.map(|_| "true")];
                }
            }
            div.buttons { button class=(class) type="submit" { (label) } span.hint { (hint) } }
        }
    }
}

fn confirm_form(me: &Reader, form: Form<'_>, begun: &Enrolment) -> Markup {
    html! {
        ol.check {
            li.next {
                div {
                    p.title { strong { "Let the app read this" } }
                    @match picture(&begun.uri) {
                        Some(svg) => div.qr role="img" aria-label="The secret for the app, as a QR code; it stands below as text" { (svg) },
                        None => p.soft { "There is no picture of it; type it in." },
                    }
                    p.meta { "Or type it in: " code { (say(&spaced(&begun.secret))) } }
                }
            }
            li {
                div {
                    p.title { strong { "Enter the code that it shows" } }
                    form.form method="post" action="/account/second-factor/confirm" data-once="" autocomplete="off" {
                        (token(me))
                        input type="hidden" name="secret" value=(begun.secret);
                        input type="hidden" name="uri" value=(begun.uri);
                        div.field {
                            label for="code" { "Code" }
                            input #code name="code" type="text" inputmode="numeric" autocomplete="one-time-code" maxlength="10" size="8" aria-invalid=[form.fault.map(|_| "true")];
                        }
                        div.buttons { button.primary type="submit" { "Confirm it" } a.button href="/account/second-factor" { "Leave it" } }
                    }
                }
            }
        }
    }
}

/// In groups of four, for whoever types it.
fn spaced(secret: &str) -> String {
    let chars: Vec<char> = secret.chars().collect();
    chars.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// A text as a QR code, dark on light whatever the page is: an app reads no other.
fn picture(text: &str) -> Option<Markup> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let drawn = code.render::<svg::Color<'_>>().min_dimensions(220, 220).quiet_zone(true).build();
    // Without the declaration, which belongs to a file alone.
    let svg = drawn.find("<svg").map(|at| drawn[at..].to_owned())?;
    Some(PreEscaped(svg))
}

fn code_list(codes: &[String]) -> Markup {
    html! {
        div.notice.good role="status" {
            p { strong { "Your recovery codes. They are shown this once." } }
            p { "Each lets you in once without the app. Keep them where you would keep a key: on paper, or in a password manager." }
            ul.codes { @for code in codes { li { code { (code) } } } }
        }
    }
}

/// Whoever changes how one comes in has just shown who it is, or does so with the password.
async fn shown_again(app: &App, me: &mut Signed, headers: &HeaderMap, sent: &Fields) -> Result<()> {
    if domain::sign_in::is_fresh(&me.session) {
        return Ok(());
    }
    let password = sent.get("password").filter(|p| !p.is_empty());
    let password = password.ok_or_else(|| Fault::from(domain::Error::ReauthenticationNeeded))?;
    session::reauthenticate(app, me, headers, password.to_owned()).await?;
    me.session.authenticated_at = Some(store::now());
    Ok(())
}

async fn told(app: &App, me: Signed, sent: &Fields, done: Result<Shown>, otherwise: Shown) -> Result<Response> {
    let me = Reader::of(app, me).await?;
    match done {
        Ok(shown) => Ok(render(app, &me, Form::default(), &shown).await?.into_response()),
        Err(fault) if fault.status.is_client_error() => {
            Ok((fault.status, render(app, &me, Form::again(sent, &fault), &otherwise).await?).into_response())
        }
        Err(fault) => Err(fault),
    }
}

/// `POST /account/second-factor/begin`
pub(crate) async fn begin(
    State(app): State<App>,
    headers: HeaderMap,
    SignedForm(mut me, sent): SignedForm,
) -> Result<Response> {
    let done = async {
        shown_again(&app, &mut me, &headers, &sent).await?;
        let begun = second_factor::begin(app.store(), &app.state.vault, &me.actor).await?;
        Ok(Shown { begun: Some(begun), ..Shown::default() })
    }
    .await;
    told(&app, me, &sent, done, Shown::default()).await
}

/// `POST /account/second-factor/confirm`
pub(crate) async fn confirm(
    State(app): State<App>,
    headers: HeaderMap,
    SignedForm(mut me, sent): SignedForm,
) -> Result<Response> {
    let done = async {
        shown_again(&app, &mut me, &headers, &sent).await?;
        let code = sent.text("code").unwrap_or_default();
        let codes = second_factor::confirm(app.store(), &app.state.vault, &me.actor, code).await?;
        Ok(Shown { codes, ..Shown::default() })
    }
    .await;
    // What the app was given is not read back: it comes along with the form.
    let text = |name: &str| sent.get(name).unwrap_or_default().chars().take(URI_CHARS).collect::<String>();
    let begun = Enrolment { secret: text("secret"), uri: text("uri") };
    let otherwise = Shown { begun: (!begun.secret.is_empty()).then_some(begun), ..Shown::default() };
    told(&app, me, &sent, done, otherwise).await
}

/// `POST /account/second-factor/codes`
pub(crate) async fn codes(
    State(app): State<App>,
    headers: HeaderMap,
    SignedForm(mut me, sent): SignedForm,
) -> Result<Response> {
    let done = async {
        shown_again(&app, &mut me, &headers, &sent).await?;
        Ok(Shown { codes: second_factor::renew_codes(app.store(), &me.actor).await?, ..Shown::default() })
    }
    .await;
    told(&app, me, &sent, done, Shown::default()).await
}

/// `POST /account/second-factor/remove`
pub(crate) async fn remove(
    State(app): State<App>,
    headers: HeaderMap,
    SignedForm(mut me, sent): SignedForm,
) -> Result<Response> {
    let done = async {
        shown_again(&app, &mut me, &headers, &sent).await?;
        second_factor::remove(app.store(), &me.actor, me.user_id()).await?;
        Ok(Shown::default())
    }
    .await;
    told(&app, me, &sent, done, Shown::default()).await
}

#[cfg(test)]
mod tests {
    use super::{picture, spaced};

    #[test]
    fn the_picture_is_drawn_without_a_style() {
        let svg = picture("otpauth://totp/Steward:ada?secret=ABCDEFGH").unwrap().into_string();
        assert!(svg.starts_with("<svg") && !svg.contains("style") && !svg.contains("<?xml"), "{svg}");
        assert_eq!(spaced("ABCDEFGHIJ"), "ABCD EFGH IJ");
    }
}
