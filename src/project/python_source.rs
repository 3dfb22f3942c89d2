//! Python source, parsed: which objects a module holds, never by running it.

use std::collections::BTreeMap;

use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, ExprCall, Stmt};

/// A parsed module.
#[derive(Debug)]
pub struct Module {
    body: Vec<Stmt>,
    /// What the module's names were imported from, e.g. `FastAPI` to `fastapi.FastAPI`, `fl` to `flask`.
    imports: BTreeMap<String, String>,
}

/// A module-level object that calls something made, or a function that makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its name in the module.
    pub name: String,
    /// The full name of what was called, e.g. `fastapi.FastAPI`.
    pub constructor: String,
    /// Whether it is a function without required parameters that returns one.
    pub factory: bool,
    /// Whether that function is a coroutine.
    pub is_async: bool,
}

impl Made {
    fn object(name: &str, constructor: String) -> Self {
        Self {
            name: name.to_owned(),
            constructor,
            factory: false,
            is_async: false,
        }
    }
}

impl Module {
    /// Parses a module; `None` if it is no Python.
    pub fn parse(source: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(source).ok()?;
        let parsed = ruff_python_parser::parse_module(text.trim_start_matches('\u{feff}')).ok()?;
        let body = parsed.into_syntax().body.into_iter().collect::<Vec<_>>();
        let mut imports = BTreeMap::new();
        each_statement(&body, &mut |statement| collect_imports(statement, &mut imports));
        Some(Self { body, imports })
    }

    /// Whether it imports a module, or something from it.
    pub fn imports(&self, module: &str) -> bool {
        self.imports.values().any(|from| {
            from == module
                || from
                    .strip_prefix(module)
                    .is_some_and(|rest| rest.starts_with('.'))
        })
    }

    /// The objects that are made by calls at module level, then the factories, each in the order of the file.
    pub fn made(&self) -> Vec<Made> {
        let (mut objects, mut factories) = (Vec::new(), Vec::new());
        each_statement(&self.body, &mut |statement| {
            if let Some((name, call)) = assigned_call(statement)
                && let Some(constructor) = self.full_name(&call.func)
            {
                objects.push(Made::object(name, constructor));
            }
            // `server = app.server` of an object that was made above.
            if let Some((name, of, attribute)) = assigned_attribute(statement)
                && let Some(object) = objects.iter().find(|object: &&Made| object.name == of)
            {
                let constructor = format!("{}.{attribute}", object.constructor);
                objects.push(Made::object(name, constructor));
            }
            if let Stmt::FunctionDef(function) = statement {
                factories.extend(self.returned(function).into_iter().map(|constructor| Made {
                    name: function.name.to_string(),
                    constructor,
                    factory: true,
                    is_async: function.is_async,
                }));
            }
        });
        objects.extend(factories);
        objects
    }

    /// What a function without required parameters makes and returns.
    fn returned(&self, function: &ruff_python_ast::StmtFunctionDef) -> Vec<String> {
        let parameters = &function.parameters;
        let required = parameters
            .posonlyargs
            .iter()
            .chain(&parameters.args)
            .chain(&parameters.kwonlyargs)
            .any(|parameter| parameter.default.is_none());
        if required {
            return Vec::new();
        }
        let mut imports = self.imports.clone();
        let mut locals = BTreeMap::new();
        let mut found = Vec::new();
        each_statement(&function.body, &mut |statement| {
            collect_imports(statement, &mut imports);
            if let Some((name, call)) = assigned_call(statement)
                && let Some(constructor) = resolve(&call.func, &imports)
            {
                locals.entry(name.to_owned()).or_insert(constructor);
            }
            let Stmt::Return(ruff_python_ast::StmtReturn {
                value: Some(value), ..
            }) = statement
            else {
                return;
            };
            found.extend(match &**value {
                Expr::Name(name) => locals.get(name.id.as_str()).cloned(),
                Expr::Call(call) => resolve(&call.func, &imports),
                _ => None,
            });
        });
        found
    }

    fn full_name(&self, expression: &Expr) -> Option<String> {
        resolve(expression, &self.imports)
    }

    /// The second argument of the first call whose first two arguments are texts, the first of them `key`:
    /// `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site.settings")`.
    pub fn text_after(&self, key: &str) -> Option<String> {
        let mut finder = TextAfter { key, found: None };
        for statement in &self.body {
            finder.visit_stmt(statement);
        }
        finder.found
    }

    /// The text that a keyword of `setup(...)` is given, itself or by a name of the module, and the byte where it stands.
    pub fn setup_text(&self, keyword: &str) -> Option<(usize, String)> {
        let mut finder = SetupKeyword {
            module: self,
            keyword,
            found: None,
        };
        for statement in &self.body {
            finder.visit_stmt(statement);
        }
        finder.found
    }

    /// Whether it does something when it is run: `if __name__ == "__main__":`.
    pub fn is_program(&self) -> bool {
        let guard = |statement: &Stmt| matches!(statement, Stmt::If(branch) if is_main_guard(&branch.test));
        self.body.iter().any(guard)
    }

    /// The names of the console scripts that a literal `entry_points` of `setup(...)` declares.
    pub fn console_scripts(&self) -> Vec<String> {
        let mut finder = EntryPointsOf(Vec::new());
        for statement in &self.body {
            finder.visit_stmt(statement);
        }
        finder.0
    }

    /// The text that is assigned to a name at module level.
    pub fn text_of(&self, name: &str) -> Option<String> {
        let mut found = None;
        each_statement(&self.body, &mut |statement| {
            if let Stmt::Assign(assign) = statement
                && let [Expr::Name(target)] = assign.targets.as_slice()
                && target.id.as_str() == name
            {
                found = text(&assign.value).or(found.take());
            }
        });
        found
    }
}

struct TextAfter<'a> {
    key: &'a str,
    found: Option<String>,
}

impl<'a> Visitor<'a> for TextAfter<'_> {
    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Call(call) = expression
            && let [first, second, ..] = &*call.arguments.args
            && text(first).as_deref() == Some(self.key)
            && self.found.is_none()
        {
            self.found = text(second);
        }
        walk_expr(self, expression);
    }
}

struct SetupKeyword<'m> {
    module: &'m Module,
    keyword: &'m str,
    found: Option<(usize, String)>,
}

impl<'a> Visitor<'a> for SetupKeyword<'_> {
    fn visit_expr(&mut self, expression: &'a Expr) {
        let is_setup = |call: &ExprCall| {
            let name = self.module.full_name(&call.func);
            name.is_some_and(|name| name == "setuptools.setup" || name == "distutils.core.setup")
        };
        if let Expr::Call(call) = expression
            && self.found.is_none()
            && is_setup(call)
            && let Some(keyword) = call.arguments.find_keyword(self.keyword)
        {
            let value = match &keyword.value {
                Expr::Name(name) => self.module.text_of(name.id.as_str()),
                other => text(other),
            };
            self.found = value.map(|value| (keyword.range.start().to_usize(), value));
        }
        walk_expr(self, expression);
    }
}

struct EntryPointsOf(Vec<String>);

impl<'a> Visitor<'a> for EntryPointsOf {
    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Call(call) = expression
            && let Some(keyword) = call.arguments.find_keyword("entry_points")
            && let Expr::Dict(groups) = &keyword.value
        {
            let scripts = groups
                .items
                .iter()
                .find(|item| item.key.as_ref().and_then(text).as_deref() == Some("console_scripts"));
            let lines: Vec<String> = match scripts.map(|item| &item.value) {
                Some(Expr::List(list)) => list.elts.iter().filter_map(text).collect(),
                Some(other) => text(other)
                    .iter()
                    .flat_map(|all| all.lines().map(str::to_owned).collect::<Vec<_>>())
                    .collect(),
                None => Vec::new(),
            };
            let names = lines.iter().filter_map(|line| line.split_once('='));
            self.0.extend(names.map(|(name, _)| name.trim().to_owned()));
        }
        walk_expr(self, expression);
    }
}

fn text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::StringLiteral(literal) => Some(literal.value.to_str().to_owned()),
        _ => None,
    }
}

/// `name = call(...)`, annotated or not.
fn assigned_call(statement: &Stmt) -> Option<(&str, &ExprCall)> {
    let (target, value) = match statement {
        Stmt::Assign(assign) => match assign.targets.as_slice() {
            [target] => (target, &*assign.value),
            _ => return None,
        },
        Stmt::AnnAssign(assign) => (&*assign.target, assign.value.as_deref()?),
        _ => return None,
    };
    match (target, value) {
        (Expr::Name(name), Expr::Call(call)) => Some((name.id.as_str(), call)),
        _ => None,
    }
}

/// `name = object.attribute`.
fn assigned_attribute(statement: &Stmt) -> Option<(&str, &str, &str)> {
    let Stmt::Assign(assign) = statement else {
        return None;
    };
    match (assign.targets.as_slice(), &*assign.value) {
        ([Expr::Name(name)], Expr::Attribute(attribute)) => match &*attribute.value {
            Expr::Name(of) => Some((name.id.as_str(), of.id.as_str(), attribute.attr.as_str())),
            _ => None,
        },
        _ => None,
    }
}

/// The dotted name of an expression, its first part as it was imported; a name that was not imported stays.
fn resolve(expression: &Expr, imports: &BTreeMap<String, String>) -> Option<String> {
    match expression {
        Expr::Name(name) => {
            let name = name.id.as_str();
            Some(imports.get(name).map_or(name, String::as_str).to_owned())
        }
        Expr::Attribute(attribute) => {
            let of = resolve(&attribute.value, imports)?;
            Some(format!("{of}.{}", attribute.attr))
        }
        _ => None,
    }
}

fn collect_imports(statement: &Stmt, imports: &mut BTreeMap<String, String>) {
    match statement {
        Stmt::Import(import) => {
            for alias in &import.names {
                let (name, full) = if let Some(name) = &alias.asname {
                    (name.as_str(), alias.name.as_str())
                } else {
                    // `import a.b` binds `a`.

                    let first = alias.name.split('.').next().unwrap_or_default();
                    (first, first)
                };
                imports.insert(name.to_owned(), full.to_owned());
            }
        }
        Stmt::ImportFrom(import) => {
            let module = import.module.as_ref().map_or("", |module| module.as_str());
            let dots = ".".repeat(import.level as usize);
            for alias in &import.names {
                let name = alias.asname.as_ref().unwrap_or(&alias.name);
                imports.insert(name.to_string(), format!("{dots}{module}.{}", alias.name));
            }
        }
        _ => {}
    }
}

/// Calls a function for every statement that runs when the body does: also those in `if`, `try` and `with`.
fn each_statement(body: &[Stmt], call: &mut dyn FnMut(&Stmt)) {
    for statement in body {
        call(statement);
        match statement {
            Stmt::If(branch) if !is_main_guard(&branch.test) => {
                each_statement(&branch.body, call);
                for clause in &branch.elif_else_clauses {
                    each_statement(&clause.body, call);
                }
            }
            Stmt::Try(attempt) => {
                each_statement(&attempt.body, call);
                for ruff_python_ast::ExceptHandler::ExceptHandler(handler) in &attempt.handlers {
                    each_statement(&handler.body, call);
                }
                each_statement(&attempt.orelse, call);
            }
            Stmt::With(with) => each_statement(&with.body, call),
            _ => {}
        }
    }
}

/// `__name__ == "__main__"`: a server that imports the module does not run this.
fn is_main_guard(test: &Expr) -> bool {
    matches!(test, Expr::Compare(compare)
        if matches!(&*compare.left, Expr::Name(name) if name.id.as_str() == "__name__"))
}

/// An import, a docstring, or `setup()`.
fn bare(statement: &Stmt, imports: &BTreeMap<String, String>) -> bool {
    match statement {
        Stmt::Import(_) | Stmt::ImportFrom(_) | Stmt::Pass(_) => true,
        Stmt::Expr(expression) => match &*expression.value {
            Expr::StringLiteral(_) => true,
            Expr::Call(call) => {
                let name = resolve(&call.func, imports);
                call.arguments.is_empty() && name.as_deref() == Some("setuptools.setup")
            }
            _ => false,
        },
        Stmt::If(branch) => {
            is_main_guard(&branch.test)
                && branch.elif_else_clauses.is_empty()
                && branch.body.iter().all(|statement| bare(statement, imports))
        }
        _ => false,
    }
}

/// Whether a setup.py only calls `setup()` without arguments, so that it adds nothing to pyproject.toml.
pub fn is_bare_setup(source: &[u8]) -> bool {
    let Some(module) = Module::parse(source) else {
        return false;
    };
    module
        .body
        .iter()
        .all(|statement| bare(statement, &module.imports))
}
