package platform

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// sessions holds recordings of real devices, with what other people expect of
// their prompts and of redaction. It is not part of the repository.
const sessions = "../../../shared/corpus/sessions"

// recordedModels are the platforms by the name that the recordings give them.
var recordedModels = map[string]string{
	"aoscx": "aruba_aoscx", "aosw": "aruba_os", "arubainstant": "aruba_instant", "asa": "cisco_asa", "asyncos": "cisco_asyncos",
	"cumulus": "cumulus_linux", "efos": "broadcom_efos", "eos": "arista_eos", "fastiron": "ruckus_fastiron",
	"firewareos": "watchguard_fireware", "garderos": "garderos", "h3c": "h3c_comware", "ios": "cisco_iosxe",
	"linuxgeneric": "linux_host", "mlnxos": "mellanox_onyx", "netgear": "netgear_prosafe", "nxos": "cisco_nxos",
	"saos10": "ciena_saos10", "sonicos": "sonicwall_sonicos", "tnsr": "netgate_tnsr", "tplink": "tplink_jetstream",
	"vsololt": "vsol_olt",
}

// expectations calls do for each file of a kind and its platform.
func expectations(t *testing.T, kind string, do func(t *testing.T, d *Definition, name string, e expected)) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(sessions, "*#"+kind+".yaml"))
	if len(files) == 0 {
		t.Skipf("NOT RUN: %s expectations of recordings, there is no %s", kind, sessions)
	}
	for _, f := range files {
		name := filepath.Base(f)
		name = name[:strings.LastIndex(name, "#")]
		model, _, _ := strings.Cut(name, "#")
		t.Run(name, func(t *testing.T) {
			d, ok := definitions(t).ByName(recordedModels[model])
			if !ok {
				t.Skipf("NOT RUN: %s, there is no definition for it", model)
			}
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			var e expected
			if err := yaml.Unmarshal(src, &e); err != nil {
				t.Fatal(err)
			}
			do(t, d, name, e)
		})
	}
}

type expected struct {
	Pass []string `yaml:"pass"`
	Fail []string `yaml:"fail"`
}

func TestRecordedPromptsAreTaken(t *testing.T) {
	expectations(t, "prompt", func(t *testing.T, d *Definition, _ string, e expected) {
		prompt := d.Dialogue().Prompt
		for _, p := range e.Pass {
			shown := p[strings.LastIndexByte(p, '\r')+1:] // as the terminal shows it
			if !prompt.MatchString(shown) {
				t.Errorf("%q is no prompt", shown)
			}
		}
		for _, p := range e.Fail {
			if prompt.MatchString(p) {
				t.Errorf("%q is a prompt", p)
			}
		}
	})
}

func TestSecretsOfRecordingsAreMasked(t *testing.T) {
	expectations(t, "secret", func(t *testing.T, d *Definition, name string, e expected) {
		text, err := os.ReadFile(filepath.Join(sessions, name+"#output.txt"))
		if err != nil {
			t.Fatal(err)
		}
		got := string(d.Redact(text, testKey))
		for _, secret := range e.Fail {
			if strings.Contains(got, secret) {
				t.Errorf("%q is left", secret)
			}
		}
		for _, line := range e.Pass {
			head, _, masked := strings.Cut(strings.NewReplacer(`\.`, ".", "^", "", "$", "").Replace(line), "<") // up to where the secret was
			if masked && !strings.Contains(got, head) {
				t.Errorf("%q is gone", head)
			}
		}
	})
}
