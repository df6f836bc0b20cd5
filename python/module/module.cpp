// SPDX-License-Identifier: Apache-2.0
// moesim._core: what the Python package is built on. python/moesim/_core.pyi says it in Python's
// words.
#include <CLI/CLI.hpp>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "python/module/attend.hpp"
#include "python/module/layers_run.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/host.hpp"
#include "sim/cli/program.hpp"
#include "sim/cli/simulate.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/json_report.hpp"
#include "sim/report/text_report.hpp"
#include "sim/scenario/data_folder.hpp"
#include "sim/scenario/fields.hpp"
#include "sim/scenario/load_settings.hpp"
#include "sim/step/replay.hpp"

namespace py = pybind11;

namespace moesim::python {
namespace {

/// A scenario as Python hands it over: a file, or a text with a name.
struct Source {
  std::string name;
  std::optional<std::string> text;
  std::vector<std::string> overrides;

  [[nodiscard]] Scenario load() const {
    return text ? load_text(*text, name, overrides) : load_scenario(name, overrides);
  }
};

py::tuple load(const Source& source) {
  std::optional<Scenario> scenario;
  std::string resolved;
  {
    const py::gil_scoped_release release;
    scenario = source.load();
    resolved = resolved_toml(*scenario);
  }
  return py::make_tuple(resolved, step_kind_words()[static_cast<std::size_t>(scenario->step.kind)]);
}

std::unique_ptr<LayersRun> run_layers(const Source& source,
                                      int threads,
                                      bool strict,
                                      const py::object& progress) {
  std::atomic<bool> cancelled = false;
  ProgressBoard board;
  std::unique_ptr<LayersRun> run;
  const auto work = [&] {
    Scenario scenario = source.load();
    RunReport report =
        cli::simulate(source.name,
                      scenario,
                      {.threads = threads,
                       .on_step = [&](int done, int total) { board.post("steps", done, total); },
                       .without_faults = true,
                       .cancelled = &cancelled});
    if (strict) {
      cli::refuse_outside(report.evidence);
    }
    run = std::make_unique<LayersRun>(std::move(scenario), std::move(report));
  };
  if (std::optional<py::error_already_set> stop = attend(work, cancelled, board, progress)) {
    throw py::error_already_set(*stop);
  }
  return run;
}

/// What the command of `words` prints. Help and version are output like any other.
void run_command(const std::vector<std::string>& words, cli::HostConsole& console) {
  const cli::HostedCommands hosted(console);
  const std::unique_ptr<CLI::App> program = cli::make_program();
  try {
    cli::run_words(*program, words);
  } catch (const CLI::Success& help) {
    std::ostringstream out;
    program->exit(help, out, out);
    console.out += out.str();
  } catch (const CLI::ParseError& error) {
    throw UserError(error.what());
  } catch (const cli::Interrupted&) {
    // What it printed is what it has; attend() knows why it ended.
  }
}

/// (standard output, standard error, the Python error that ended it early or None)
py::tuple command(const std::vector<std::string>& words,
                  const std::map<std::string, std::string>& texts,
                  const py::object& progress) {
  ProgressBoard board;
  cli::HostConsole console;
  console.texts = texts;
  console.on_progress = [&](std::string_view what, std::int64_t done, std::int64_t total) {
    board.post(what, done, total);
  };
  std::optional<py::error_already_set> stop;
  try {
    stop = attend([&] { run_command(words, console); }, console.interrupted, board, progress);
  } catch (py::error_already_set& error) {
    stop.emplace(error);
  }
  return py::make_tuple(
      console.out, console.error, stop ? py::object(stop->value()) : py::object(py::none()));
}

/// A view of the table's numbers; `owner` keeps them alive.
template <typename Number>
py::array_t<Number> view(const Table<Number>& table, const py::object& owner) {
  py::array_t<Number> array(table.extents, table.values.data(), owner);
  array.attr("flags").attr("writeable") = false;
  return array;
}

template <typename Number>
void add_table(py::class_<LayersRun>& of,
               const char* name,
               Table<Number> LayersRun::*table,
               const char* what) {
  of.def_property_readonly(
      name,
      [table](const py::object& self) { return view(self.cast<const LayersRun&>().*table, self); },
      what);
}

void add_run(py::module_& module) {
  py::class_<LayersRun> run(
      module, "LayersRun", "A simulated run of MoE layers; arrays are views.");
  run.def("json", [](const LayersRun& self) { return to_json(self.report); });
  run.def("csv", [](const LayersRun& self, const std::string& table) {
    return csv_of(self.report, table);
  });
  run.def("summary", [](const LayersRun& self) { return summary_text(self.report); });
  run.def("explain",
          [](const LayersRun& self, int layer) { return explain_text(self.report, layer); });
  run.def("save", [](const LayersRun& self, const std::string& folder) {
    const py::gil_scoped_release release;
    save(self, folder);
  });
  run.def_property_readonly("link_names",
                            [](const LayersRun& self) { return self.report.link_names; });
  run.def_property_readonly("ranks_per_cell", [](const LayersRun& self) {
    return self.report.steps.front().pairs.ranks_per_cell;
  });
  add_table(run, "step_s", &LayersRun::step_s, "[step] makespan, s");
  add_table(run, "layer_s", &LayersRun::layer_s, "[step, layer] makespan, s");
  add_table(run, "path_s", &LayersRun::path_s, "[step, layer, part] critical path, s");
  add_table(run, "phase_mean_s", &LayersRun::phase_mean_s, "[step, layer, phase] mean of ranks, s");
  add_table(run, "phase_max_s", &LayersRun::phase_max_s, "[step, layer, phase] slowest rank, s");
  add_table(run, "expert_load", &LayersRun::expert_load, "[step, layer, expert] assignments");
  add_table(run, "rank_load", &LayersRun::rank_load, "[step, layer, rank] assignments");
  add_table(run, "link_bytes", &LayersRun::link_bytes, "[step, link] bytes");
  add_table(run, "traffic", &LayersRun::traffic, "[step, source, destination] dispatch bytes");
  add_table(run, "link_rate", &LayersRun::link_rate, "[link] effective bytes/s");
}

void raise(const char* type, const py::tuple& arguments) {
  const py::object error = py::module_::import("moesim._errors").attr(type)(*arguments);
  PyErr_SetObject(py::type::of(error).ptr(), error.ptr());
}

void raise_mistakes(const UserError& error) {
  py::list diagnostics;
  for (const Diagnostic& d : error.diagnostics()) {
    diagnostics.append(py::make_tuple(
        d.place.file, d.place.line, d.place.column, d.key, d.message, d.hint, d.source_line));
  }
  raise("ScenarioError", py::make_tuple(error.what(), diagnostics));
}

/// C++ exceptions as those of moesim/_errors.py.
void translate(std::exception_ptr failure) {
  try {
    if (failure) {
      std::rethrow_exception(failure);
    }
  } catch (const UserError& error) {
    raise_mistakes(error);
  } catch (const Cancelled&) {
    PyErr_SetNone(PyExc_KeyboardInterrupt);
  } catch (const EnvironmentError& error) {
    raise("EnvironmentFault", py::make_tuple(error.what()));
  } catch (const std::logic_error& error) {
    raise("BugError", py::make_tuple(error.what()));
  }
}

}  // namespace

PYBIND11_MODULE(_core, module) {
  module.doc() = "The compiled part of moesim; use the package.";
  py::register_exception_translator(translate);
  py::class_<Source>(module, "Source", "A scenario's file, or its text and a name; overrides.")
      .def(py::init([](std::string name,
                       std::optional<std::string> text,
                       std::vector<std::string> overrides) {
             return Source{std::move(name), std::move(text), std::move(overrides)};
           }),
           py::arg("name"),
           py::arg("text"),
           py::arg("overrides"));
  add_run(module);
  module.def("load", load, py::arg("source"), "(resolved TOML, step.kind)");
  module.def("run_layers",
             run_layers,
             py::arg("source"),
             py::arg("threads"),
             py::arg("strict"),
             py::arg("progress"));
  module.def("command", command, py::arg("words"), py::arg("texts"), py::arg("progress"));
  module.def("data_folder", [] { return data_folder().string(); });
  module.attr("version") = MOESIM_VERSION;
  module.attr("build") = cli::version_text();
  module.attr("part_names") = part_names();
}

}  // namespace moesim::python
