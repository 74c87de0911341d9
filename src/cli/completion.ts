/** `pith completion`: scripts that make a shell complete what commands.ts lists. */
import type { Shell } from './arguments.ts';
import { type Command, COMMAND_NAMES, COMMANDS } from './commands.ts';
import { HELP_OPTION, type OptionRule } from './options.ts';

/** With `help`, which takes a command. */
const ALL: readonly (readonly [string, Command])[] = [
  ...COMMAND_NAMES.map((name) => [name, COMMANDS[name]] as const),
  ['help', { takes: '[COMMAND]', does: 'print help', options: {}, first: COMMAND_NAMES }],
];

export function completionFor(shell: Shell): string {
  return { bash, zsh, fish }[shell]();
}

function optionsOf({ options }: Command): [string, OptionRule][] {
  return Object.entries({ ...options, ...HELP_OPTION });
}

/** `--config` and `-c`. */
function spellings(name: string, { short }: OptionRule): string[] {
  return [`--${name}`, ...(short === undefined ? [] : [`-${short}`])];
}

function bash(): string {
  const values = ALL.flatMap(([name, command]) =>
    optionsOf(command)
      .filter(([, { value }]) => value !== undefined)
      .map(([option, rule]) => {
        const cases = spellings(option, rule).map((one) => `${name}:${one}`);
        return `    ${cases.join(' | ')}) ${bashValue(rule)} ;;\n`;
      }),
  );
  const commands = ALL.map(([name, command]) => {
    const words = optionsOf(command).flatMap(([option, rule]) => spellings(option, rule));
    return `    ${name}) options='${words.join(' ')}' first='${bashFirst(command)}' ;;\n`;
  });
  return `# bash completion of pith, also for the bash 3.2 of macOS; load it with: eval "$(pith completion bash)"
_pith_words() { COMPREPLY=($(compgen -W "$1" -- "$word")); }
_pith_paths() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen "$1" -- "$word"))
}
_pith() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} options= first=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    _pith_words '${ALL.map(([name]) => name).join(' ')} --help --version'
    return
  fi
  case \${COMP_WORDS[1]}:$before in
${values.join('')}  esac
  case \${COMP_WORDS[1]} in
${commands.join('')}  esac
  case $word:$first in
    -*) _pith_words "$options" ;;
    *:@file) _pith_paths -f ;;
    *:@folder) _pith_paths -d ;;
    *) _pith_words "$first" ;;
  esac
}
complete -F _pith pith
`;
}

function bashValue({ choices, completes }: OptionRule): string {
  if (choices !== undefined) return `_pith_words '${choices.join(' ')}'; return`;
  return completes === 'file' ? '_pith_paths -f; return' : 'return';
}

function bashFirst({ first }: Command): string {
  if (first === undefined) return '';
  return typeof first === 'string' ? `@${first}` : first.join(' ');
}

function zsh(): string {
  const commands = ALL.map(([name, { does }]) => `    ${quoted(`${name}:${does}`)}\n`);
  const cases = ALL.map(([name, command]) => {
    const specs = optionsOf(command).flatMap(([option, rule]) => zshOption(option, rule));
    const first = zshAction(command.first);
    if (command.first !== undefined) specs.push(quoted(`1:${command.takes}:${first}`));
    return `    ${name}) _arguments -s ${specs.join(' ')} ;;\n`;
  });
  return `#compdef pith
# zsh completion of pith; load it with: eval "$(pith completion zsh)"
_pith() {
  local -a commands=(
${commands.join('')}  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('')}  esac
}
if (( $+functions[compdef] )); then compdef _pith pith; fi
`;
}

function zshOption(name: string, rule: OptionRule): string[] {
  const { value, many, choices, completes } = rule;
  return spellings(name, rule).map((one) => {
    const repeats = many === true ? '*' : '';
    if (value === undefined) return quoted(`${repeats}${one}`);
    const joined = one.startsWith('--') ? '=' : '';
    return quoted(`${repeats}${one}${joined}:${value}:${zshAction(choices ?? completes)}`);
  });
}

function zshAction(what: Command['first']): string {
  if (what === undefined) return '';
  if (typeof what !== 'string') return `(${what.join(' ')})`;
  return what === 'file' ? '_files' : '_files -/';
}

function fish(): string {
  const lines = ALL.flatMap(([name, command]) => {
    const here = `complete -c pith -n '__fish_seen_subcommand_from ${name}'`;
    const options = optionsOf(command).map(([option, { value, short, choices, completes }]) => {
      const flag = `${here} -l ${option}${short === undefined ? '' : ` -s ${short}`}`;
      if (value === undefined) return flag;
      if (completes === 'file') return `${flag} -r -F`;
      return `${flag} -x${choices === undefined ? '' : ` -a '${choices.join(' ')}'`}`;
    });
    const { first } = command;
    const words = typeof first === 'object' ? [`${here} -a '${first.join(' ')}'`] : [];
    const paths = {
      file: [`${here} -F`],
      folder: [`${here} -a '(__fish_complete_directories)'`],
      none: [],
    }[typeof first === 'string' ? first : 'none'];
    return [
      `complete -c pith -n __fish_use_subcommand -a ${name} -d ${quoted(command.does)}`,
      ...options,
      ...words,
      ...paths,
    ];
  });
  return `# fish completion of pith; put it into ~/.config/fish/completions/pith.fish
complete -c pith -f
${lines.join('\n')}
`;
}

/** For all three shells. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'"'"'`)}'`;
}
