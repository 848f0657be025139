//! The commands that an entry may contain: they print something, and can do nothing else.

use std::{collections::HashSet, sync::LazyLock};

/// Commands for text without an argument.
const TEXT: &str = "AA AE DH DJ L LaTeX NG O OE P S SS TH TeX aa ae bf bfseries copyright dag ddag dh dj dots em i it \
    itshape j l ldots ng o oe pounds quad rm sc scshape sf sl ss textasciicircum textasciitilde textbackslash textbar \
    textbraceleft textbraceright textbullet textcopyright textdegree textellipsis textemdash textendash textgreater \
    textless textquotedblleft textquotedblright textquoteleft textquoteright textregistered textregistered \
    texttrademark textunderscore th tt";
/// Commands for text with one argument in braces.
const TEXT_WITH_ARGUMENT: &str = "emph enquote ensuremath mbox text textbf textit textmd textnormal textrm textsc textsf textsl \
    textsubscript textsuperscript texttt textup underline";
/// Accents that are letters: `\v{c}`.
const ACCENTS: [&str; 9] = ["H", "b", "c", "d", "k", "r", "t", "u", "v"];
/// Commands of mathematics without an argument.
const MATH: &str = "Bbbk Box Bumpeq Cap Cup Delta Diamond Downarrow Finv Game Gamma Im Join Lambda Leftarrow \
    Leftrightarrow Lleftarrow Longleftarrow Longleftrightarrow Longrightarrow Lsh Omega P Phi Pi Pr Psi Re \
    Rightarrow Rrightarrow Rsh S Sigma Subset Supset Theta Uparrow Updownarrow Upsilon Vert Vvdash Xi alef aleph \
    alpha amalg angle approx approxeq arccos arcsin arctan arg ast asymp atop backepsilon backprime backsim \
    backsimeq backslash barwedge because beta beth between bf bigcap bigcirc bigcup bigodot bigoplus bigotimes \
    bigsqcup bigstar bigtriangledown bigtriangleup biguplus bigvee bigwedge blacklozenge blacksquare blacktriangle \
    blacktriangledown blacktriangleleft blacktriangleright bmod bot bowtie boxdot boxminus boxplus boxtimes bullet \
    bumpeq cal cap cdot cdotp cdots centerdot checkmark chi choose circ circeq circlearrowleft circlearrowright \
    circledR circledS circledast circledcirc clubsuit colon complement cong coprod cos cosh cot coth csc cup \
    curlyeqprec curlyeqsucc curlyvee curlywedge curvearrowleft curvearrowright dag dagger daleth dashv ddag ddagger \
    ddots deg delta det diagdown diagup diamond diamondsuit digamma dim displaystyle div divideontimes doteq \
    doteqdot dotplus dots dotsb dotsc dotsi dotsm dotso doublebarwedge downarrow downdownarrows downharpoonleft \
    downharpoonright ell emptyset epsilon eqcirc eqsim equiv eta eth exists exp fallingdotseq flat forall frown \
    gamma gcd ge geq geqq geqslant gets gg ggg gimel gnapprox gneq gneqq gnsim gtrapprox gtrdot gtreqless \
    gtreqqless gtrless gtrsim gvertneqq hbar heartsuit hom hookleftarrow hookrightarrow hslash idotsint iff iiiint \
    iiint iint imath implies in inf infty injlim int intercal iota it jmath kappa ker lVert lambda land langle \
    lbrace lbrack lceil ldots le leadsto left leftarrow leftarrowtail leftharpoondown leftharpoonup leftleftarrows \
    leftrightarrow leftrightarrows leftrightharpoons leftthreetimes leq leqq leqslant lessapprox lessdot lesseqgtr \
    lesseqqgtr lessgtr lesssim lfloor lg lgroup lhd lim liminf limits limsup ll llcorner lll lmoustache ln lnapprox \
    lneq lneqq lnot lnsim log longleftarrow longleftrightarrow longmapsto longrightarrow looparrowleft \
    looparrowright lor lozenge lrcorner ltimes lvert lvertneqq maltese mapsto mathstrut max measuredangle mho mid \
    min mod models mp mu multimap nLeftarrow nLeftrightarrow nRightarrow nVDash nVdash nabla natural ncong ne \
    nearrow neg negthinspace neq nexists ngeq ngeqq ngeqslant ni nleftarrow nleftrightarrow nleq nleqq nleqslant \
    nmid nolimits not notin nparallel nprec npreceq nrightarrow nshortmid nshortparallel nsim nsubseteq nsucc \
    nsucceq nsupseteq ntriangleleft ntrianglelefteq ntriangleright ntrianglerighteq nu nvDash nvdash nwarrow odot \
    oint omega omicron ominus oplus oslash otimes over owns parallel partial perp phi pi pitchfork pm pmod prec \
    precapprox preccurlyeq preceq precnapprox precneqq precnsim precsim prime prod projlim propto psi qquad quad \
    rVert rangle rbrace rbrack rceil restriction rfloor rgroup rhd rho right rightarrow rightarrowtail \
    rightharpoondown rightharpoonup rightleftarrows rightleftharpoons rightrightarrows rightsquigarrow \
    rightthreetimes risingdotseq rm rtimes rvert scriptscriptstyle scriptstyle searrow sec setminus sf sharp sigma \
    sim simeq sin sinh smallfrown smallint smallsetminus smallsmile smile spadesuit sphericalangle sqcap sqcup \
    sqsubset sqsubseteq sqsupset sqsupseteq square star subset subseteq subseteqq subsetneq subsetneqq succ \
    succapprox succcurlyeq succeq succnapprox succneqq succnsim succsim sum sup supset supseteq supseteqq supsetneq \
    supsetneqq surd swarrow tan tanh tau textstyle therefore theta thickapprox thicksim thinspace times to top \
    triangle triangledown triangleleft trianglelefteq triangleq triangleright trianglerighteq tt twoheadleftarrow \
    twoheadrightarrow ulcorner uparrow updownarrow upharpoonleft upharpoonright uplus upsilon upuparrows urcorner \
    vDash varDelta varGamma varLambda varOmega varPhi varPi varPsi varSigma varTheta varXi varepsilon varinjlim \
    varkappa varliminf varlimsup varnothing varphi varpi varprojlim varpropto varrho varsigma vartheta vartriangle \
    vartriangleleft vartriangleright vdash vdots vee veebar vert wedge wp wr xi zeta";
/// Commands of mathematics that need something after them.
const MATH_WITH_ARGUMENT: &str = "Big Bigg Biggl Biggr Bigl Bigr acute bar big bigg biggl biggr bigl bigr binom bm \
    boldsymbol boxed breve cfrac check dbinom ddot dfrac dot frac grave hat mathbb mathbf mathbin mathcal mathfrak \
    mathit mathop mathord mathrel mathring mathrm mathscr mathsf mathtt mbox mod operatorname overbrace \
    overleftarrow overleftrightarrow overline overrightarrow overset pmb pmod sqrt stackrel substack tbinom text \
    textbf textit textnormal textrm textsc textsf textsl texttt textup tfrac tilde underbrace underline underset \
    vec widehat widetilde xleftarrow xrightarrow";

/// The command of LaTeX that is in place of one of an older TeX.
pub(super) fn current(name: &str) -> &str {
    match name {
        "Bbb" => "mathbb",
        "frak" => "mathfrak",
        "hbox" => "mbox",
        name => name,
    }
}

/// Whether this makes a fraction of all that is around it: a group can have one.
pub(super) fn is_fraction(name: &str) -> bool {
    ["atop", "choose", "over"].contains(&name)
}

/// All names of one kind.
type Names = LazyLock<HashSet<&'static str>>;
static TEXT_NAMES: Names = LazyLock::new(|| TEXT.split_ascii_whitespace().collect());
static TEXT_WITH_ARGUMENT_NAMES: Names =
    LazyLock::new(|| TEXT_WITH_ARGUMENT.split_ascii_whitespace().collect());
static MATH_NAMES: Names = LazyLock::new(|| MATH.split_ascii_whitespace().collect());
static MATH_WITH_ARGUMENT_NAMES: Names =
    LazyLock::new(|| MATH_WITH_ARGUMENT.split_ascii_whitespace().collect());

pub(super) fn is_text(name: &str) -> bool {
    TEXT_NAMES.contains(name)
}

pub(super) fn is_text_with_argument(name: &str) -> bool {
    TEXT_WITH_ARGUMENT_NAMES.contains(name)
}

pub(super) fn is_letter_accent(name: &str) -> bool {
    ACCENTS.contains(&name)
}

/// `\'e`, `\"o`, `\~n`.
pub(super) fn is_symbol_accent(symbol: char) -> bool {
    "'`^\"~=.".contains(symbol)
}

/// What a symbol prints in text: itself, or a space.
pub(super) fn is_text_symbol(symbol: char) -> bool {
    "$&%#_ ,;:!/-@".contains(symbol)
}

pub(super) fn is_math_symbol(symbol: char) -> bool {
    "$&%#_ ,;:!>|{}".contains(symbol)
}

pub(super) fn is_math(name: &str) -> bool {
    MATH_NAMES.contains(name)
}

pub(super) fn is_math_with_argument(name: &str) -> bool {
    MATH_WITH_ARGUMENT_NAMES.contains(name)
}
