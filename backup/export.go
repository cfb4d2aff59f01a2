package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"muster/inventory"
)

// File is the newest redacted running config of one device, on its way to a
// directory.
type File struct {
	Name string // safe on any file system, stable for a device's name
	Text []byte // redacted; without times, so that an unchanged device is an unchanged file
}

// Export calls emit with one file for each device that has a version.
func (b *Backups) Export(ctx context.Context, devices []inventory.Device, emit func(File) error) error {
	names := fileNames(devices)
	return b.each(ctx, devices, func(dev inventory.Device, v VersionTexts) any {
		if len(v.Parts) == 0 {
			return File{}
		}
		return File{Name: names[dev.ID], Text: outwardLine(v.Parts[0].Redacted)}
	}, func(f any) error {
		if f := f.(File); f.Name != "" {
			return emit(f)
		}
		return nil
	})
}

// fileNames gives every device a file name. Names that are one on a file system
// that knows no case get a digest of the exact name, each of them.
func fileNames(devices []inventory.Device) map[int64]string {
	taken := map[string]int{}
	names := make(map[int64]string, len(devices))
	for _, d := range devices {
		names[d.ID] = safeName(d.Name)
		taken[strings.ToLower(names[d.ID])]++
	}
	for _, d := range devices {
		n := names[d.ID]
		if taken[strings.ToLower(n)] > 1 {
			n += "~" + nameDigest(d.Name)
		}
		names[d.ID] = n + ".cfg"
	}
	return names
}

func nameDigest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:4])
}

// safeName escapes what is no letter, digit, dot, hyphen, underscore or tilde
// (and dots that would hide the file or lead out of the directory), keeps clear
// of names that Windows has taken, and cuts what is too long.
func safeName(name string) string {
	var s strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '~':
			s.WriteByte(c)
		case (c == '.' || c == '-') && i > 0:
			s.WriteByte(c)
		default:
			fmt.Fprintf(&s, "%%%02X", c)
		}
	}
	out := s.String()
	if len(out) > 120 {
		out = out[:120] + "~" + nameDigest(name)
	}
	stem, _, _ := strings.Cut(strings.ToLower(out), ".")
	switch {
	case out == "", stem == "con", stem == "prn", stem == "aux", stem == "nul",
		len(stem) == 4 && (strings.HasPrefix(stem, "com") || strings.HasPrefix(stem, "lpt")) && stem[3] >= '0' && stem[3] <= '9':
		out = "_" + out
	}
	return out
}

// manifestName is the file by which an export knows what it wrote.
const manifestName = ".muster-export.json"

// ExportDir is a directory that takes the files of an export.
type ExportDir struct {
	dir      string
	old, now map[string]string // file name → SHA-256 of what was written, hex
}

// OpenExportDir prepares dir, which it makes where there is none.
func OpenExportDir(dir string) (*ExportDir, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the export directory: %w", err)
	}
	d := &ExportDir{dir: dir, old: map[string]string{}, now: map[string]string{}}
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d, nil
	case err != nil:
		return nil, fmt.Errorf("read what the last export wrote: %w", err)
	}
	if err := json.Unmarshal(text, &d.old); err != nil {
		return nil, fmt.Errorf("%s does not read: %w. Remove it to begin anew", filepath.Join(dir, manifestName), err)
	}
	return d, nil
}

// Put writes one file: whole or not at all, and only where its text is another
// one. A file that no export wrote is left alone, with an error.
func (d *ExportDir) Put(f File) error {
	if f.Name != filepath.Base(f.Name) || f.Name == "" || f.Name[0] == '.' || strings.ContainsAny(f.Name, `/\`) {
		return fmt.Errorf("%q is no name for a file of an export", f.Name)
	}
	path, sum := filepath.Join(d.dir, f.Name), digest(f.Text)
	there, err := os.ReadFile(path)
	switch {
	case err == nil && digest(there) == sum:
		d.now[f.Name] = sum
		return nil
	case err == nil && d.old[f.Name] == "":
		return fmt.Errorf("%s was not written by an export and stays as it is. Move it away, or export to another directory", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := writeWhole(path, f.Text); err != nil {
		return err
	}
	d.now[f.Name] = sum
	return nil
}

// Close removes the files of devices that are no more, where they are as an
// export wrote them, and writes down what there is now. all says that every
// device was exported: only then can a file be of one that is no more.
func (d *ExportDir) Close(all bool) error {
	var failures []error
	for name, sum := range d.old {
		if _, ok := d.now[name]; ok || filepath.Base(name) != name {
			continue
		}
		path := filepath.Join(d.dir, name)
		there, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && all && digest(there) == sum:
			if err := os.Remove(path); err != nil {
				failures = append(failures, err)
			}
			continue
		case !all:
			d.now[name] = sum
		}
	}
	text, err := json.MarshalIndent(d.now, "", " ") // maps are written in the order of their keys
	if err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(d.dir, manifestName), append(text, '\n')); err != nil {
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// writeWhole writes a file so that nobody ever sees half of it. Configurations
// are not for everybody: 0600.
func writeWhole(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".muster-*.part")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // err says what happened
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// ExportTo exports devices into a directory; all says that they are all that
// there are, so that files of others may go. The number of files is returned.
func (b *Backups) ExportTo(ctx context.Context, dir string, devices []inventory.Device, all bool) (int, error) {
	d, err := OpenExportDir(dir)
	if err != nil {
		return 0, err
	}
	if err := b.Export(ctx, devices, d.Put); err != nil {
		return len(d.now), errors.Join(err, d.Close(false))
	}
	return len(d.now), d.Close(all)
}
