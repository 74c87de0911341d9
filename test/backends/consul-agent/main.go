// A Consul agent as tests need it: the `agent` command of github.com/hashicorp/consul and nothing else, so
// `consul-agent -dev …` does what `consul agent -dev …` does. It exists because that module has replace
// directives, with which `go install` takes no program from it.
package main

import (
	"os"

	"github.com/hashicorp/consul/command/agent"
	"github.com/hashicorp/consul/command/cli"
	mcli "github.com/mitchellh/cli"
)

func main() {
	ui := &cli.BasicUI{BasicUi: mcli.BasicUi{Writer: os.Stdout, ErrorWriter: os.Stderr}}
	os.Exit(agent.New(ui).Run(os.Args[1:]))
}
