/**
 * `mesh ctl completion`: scripts for shells that ask `mesh ctl complete` what may come next; the
 * answer is made from the definitions, and from what the manager knows, if it answers at once.
 */
import { defineCtlCommand, EXIT, usageError } from "../command.ts";

const shells: Readonly<Record<string, string>> = {
  bash: `# mesh completion for bash: source <(mesh ctl completion bash)
_mesh() {
  local words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "proxy manager ctl version help" -- "\${words[0]}")
  elif [ "\${COMP_WORDS[1]}" = ctl ]; then
    mapfile -t COMPREPLY < <("\${COMP_WORDS[0]}" ctl complete -- "\${words[@]:1}" 2>/dev/null)
  fi
}
complete -o default -F _mesh mesh
`,
  zsh: `#compdef mesh
# mesh completion for zsh: source <(mesh ctl completion zsh)
_mesh() {
  local -a found
  if (( CURRENT == 2 )); then
    found=(proxy manager ctl version help)
  elif [[ \${words[2]} == ctl ]]; then
    found=("\${(@f)$(\${words[1]} ctl complete -- "\${(@)words[3,CURRENT]}" 2>/dev/null)}")
  fi
  if (( \${#found} )) && [[ -n \${found[1]} ]]; then compadd -- "\${found[@]}"; else _files; fi
}
compdef _mesh mesh
`,
  fish: `# mesh completion for fish: mesh ctl completion fish | source
function __mesh_complete
  set -l words (commandline -opc) (commandline -ct)
  if test (count $words) -gt 2 -a "$words[2]" = ctl
    $words[1] ctl complete -- $words[3..-1] 2>/dev/null
  end
end
complete -c mesh -n __fish_use_subcommand -f -a "proxy manager ctl version help"
complete -c mesh -n "__fish_seen_subcommand_from ctl" -a "(__mesh_complete)"
`,
};

export const completionCommand = defineCtlCommand({
  args: { shell: { type: "positional", description: "bash, zsh or fish" } },
  examples: [
    ["source <(mesh ctl completion bash)", "in ~/.bashrc"],
    ["mesh ctl completion fish | source", "in config.fish"],
  ],
  async run(args, { io }) {
    const script = new Map(Object.entries(shells)).get(args.shell ?? "");
    if (script === undefined) throw usageError("shells are bash, zsh and fish");
    io.stdout(script);
    return EXIT.ok;
  },
});
