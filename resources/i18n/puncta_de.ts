<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de_DE" sourcelanguage="en">
<context>
    <name>puncta</name>
    <message>
        <source>Something went wrong inside Puncta. Your work is not touched. The log is in {folder}.</source>
        <translation>In Puncta ist etwas schiefgegangen. Ihre Arbeit ist nicht betroffen. Das Protokoll liegt in {folder}.</translation>
    </message>
    <message>
        <source>All keys</source>
        <translation>Alle Tasten</translation>
    </message>
    <message>
        <source>The plugin {plugin} by {author} has changed since you allowed it. It waits for your consent.</source>
        <translation>Das Plugin {plugin} von {author} hat sich geändert, seit Sie es erlaubt haben. Es wartet auf Ihre Zustimmung.</translation>
    </message>
    <message>
        <source>The plugin {plugin} by {author} is new. It can read what you can read: allow it if you trust it.</source>
        <translation>Das Plugin {plugin} von {author} ist neu. Es kann lesen, was Sie lesen können: Erlauben Sie es, wenn Sie ihm trauen.</translation>
    </message>
    <message>
        <source>Allow</source>
        <translation>Erlauben</translation>
    </message>
    <message>
        <source>{plugin} is allowed. It runs when Puncta starts next.</source>
        <translation>{plugin} ist erlaubt. Es läuft ab dem nächsten Start.</translation>
    </message>
    <message>
        <source>The consent cannot be kept.</source>
        <translation>Die Zustimmung lässt sich nicht speichern.</translation>
    </message>
    <message>
        <source>Search</source>
        <translation>Suchen</translation>
    </message>
    <message>
        <source>Key set</source>
        <translation>Tastensatz</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <source>All back to the key set</source>
        <translation>Alle auf den Tastensatz zurück</translation>
    </message>
    <message>
        <source>Key for: {action}</source>
        <translation>Taste für: {action}</translation>
    </message>
    <message>
        <source>Back to the key set: {action}</source>
        <translation>Zurück zum Tastensatz: {action}</translation>
    </message>
    <message>
        <source>Take the key away: {action}</source>
        <translation>Taste wegnehmen: {action}</translation>
    </message>
    <message>
        <source>This key is taken by: {action}</source>
        <translation>Diese Taste gehört schon zu: {action}</translation>
    </message>
    <message>
        <source>Two-point ruler</source>
        <translation>Zwei-Punkt-Lineal</translation>
    </message>
    <message>
        <source>Distance in millimetres</source>
        <translation>Abstand in Millimetern</translation>
    </message>
    <message>
        <source>Kept for this source. The same scale is used along both axes.</source>
        <translation>Gilt für diese Quelle. Beide Achsen haben denselben Maßstab.</translation>
    </message>
    <message>
        <source>Calibrate</source>
        <translation>Kalibrieren</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <source>The line is {length:.0f} px long. How long is it in millimetres? Depth marks beside the picture tell.</source>
        <translation>Die Linie ist {length:.0f} px lang. Wie lang ist sie in Millimetern? Tiefenmarken neben dem Bild sagen es.</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>Einstellungen</translation>
    </message>
    <message>
        <source>You</source>
        <translation>Sie</translation>
    </message>
    <message>
        <source>Profile</source>
        <translation>Profil</translation>
    </message>
    <message>
        <source>Language</source>
        <translation>Sprache</translation>
    </message>
    <message>
        <source>Another language shows when Puncta starts next.</source>
        <translation>Eine andere Sprache gilt ab dem nächsten Start.</translation>
    </message>
    <message>
        <source>Look</source>
        <translation>Aussehen</translation>
    </message>
    <message>
        <source>Theme</source>
        <translation>Farben</translation>
    </message>
    <message>
        <source>Size of text</source>
        <translation>Schriftgröße</translation>
    </message>
    <message>
        <source>Figures large enough to read two metres away</source>
        <translation>Zahlen, die aus zwei Metern lesbar sind</translation>
    </message>
    <message>
        <source>Larger controls for touch</source>
        <translation>Größere Bedienflächen für Berührung</translation>
    </message>
    <message>
        <source>Playing</source>
        <translation>Wiedergabe</translation>
    </message>
    <message>
        <source>Show</source>
        <translation>Zeigen</translation>
    </message>
    <message>
        <source>Analyse every frame, even where that is slower than real time</source>
        <translation>Jedes Bild auswerten, auch wenn das langsamer als Echtzeit ist</translation>
    </message>
    <message>
        <source>Keys</source>
        <translation>Tasten</translation>
    </message>
    <message>
        <source>Change keys</source>
        <translation>Tasten ändern</translation>
    </message>
    <message>
        <source>Open the simulator</source>
        <translation>Simulator öffnen</translation>
    </message>
    <message>
        <source>A virtual needle in simulated tissue. The same seed gives the same pictures.</source>
        <translation>Eine virtuelle Nadel in simuliertem Gewebe. Gleiche Startzahl, gleiche Bilder.</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>Öffnen</translation>
    </message>
    <message>
        <source>Procedure</source>
        <translation>Eingriff</translation>
    </message>
    <message>
        <source>Machine</source>
        <translation>Gerät</translation>
    </message>
    <message>
        <source>Seed</source>
        <translation>Startzahl</translation>
    </message>
    <message>
        <source>One case is open at a time; the first of them opens.</source>
        <translation>Nur ein Fall ist zugleich offen; der erste davon wird geöffnet.</translation>
    </message>
    <message>
        <source>Recent</source>
        <translation>Zuletzt</translation>
    </message>
    <message>
        <source>Running</source>
        <translation>Läuft</translation>
    </message>
    <message>
        <source>Frozen. The picture is not live.</source>
        <translation>Angehalten. Das Bild ist nicht live.</translation>
    </message>
    <message>
        <source>Opening</source>
        <translation>Wird geöffnet</translation>
    </message>
    <message>
        <source>Source lost. Trying again.</source>
        <translation>Quelle verloren. Neuer Versuch läuft.</translation>
    </message>
    <message>
        <source>Source lost</source>
        <translation>Quelle verloren</translation>
    </message>
    <message>
        <source>Ended</source>
        <translation>Zu Ende</translation>
    </message>
    <message>
        <source>Freeze</source>
        <translation>Anhalten</translation>
    </message>
    <message>
        <source>Run</source>
        <translation>Weiter</translation>
    </message>
    <message>
        <source>No source is open.</source>
        <translation>Keine Quelle ist offen.</translation>
    </message>
    <message>
        <source>Close this message</source>
        <translation>Meldung schließen</translation>
    </message>
    <message>
        <source>Nothing found</source>
        <translation>Nichts gefunden</translation>
    </message>
    <message>
        <source>Waiting for a picture</source>
        <translation>Wartet auf ein Bild</translation>
    </message>
    <message>
        <source>No picture</source>
        <translation>Kein Bild</translation>
    </message>
    <message>
        <source>Judged</source>
        <translation>Beurteilt</translation>
    </message>
    <message>
        <source>Confidence</source>
        <translation>Konfidenz</translation>
    </message>
    <message>
        <source>Switch on again</source>
        <translation>Wieder einschalten</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <source>Time</source>
        <translation>Zeit</translation>
    </message>
    <message>
        <source>90 % circle</source>
        <translation>90-%-Kreis</translation>
    </message>
    <message>
        <source>Angle</source>
        <translation>Winkel</translation>
    </message>
    <message>
        <source>No plugin is installed. Put one into the plugins folder.</source>
        <translation>Kein Plugin ist installiert. Legen Sie eines in den Plugin-Ordner.</translation>
    </message>
    <message>
        <source>None on this picture</source>
        <translation>Keine auf diesem Bild</translation>
    </message>
    <message>
        <source>Found</source>
        <translation>Gefunden</translation>
    </message>
    <message>
        <source>Off</source>
        <translation>Aus</translation>
    </message>
    <message>
        <source>Expected here, not seen</source>
        <translation>Hier erwartet, nicht gesehen</translation>
    </message>
    <message>
        <source>Unsure</source>
        <translation>Unsicher</translation>
    </message>
    <message>
        <source>{plugin} on or off</source>
        <translation>{plugin} ein oder aus</translation>
    </message>
    <message>
        <source>Flags</source>
        <translation>Merkmale</translation>
    </message>
    <message>
        <source>Lost</source>
        <translation>Verloren</translation>
    </message>
    <message>
        <source>Not analysed yet</source>
        <translation>Noch nicht ausgewertet</translation>
    </message>
    <message>
        <source>No tip in sight</source>
        <translation>Keine Spitze in Sicht</translation>
    </message>
    <message>
        <source>Seen by another plugin</source>
        <translation>Von einem anderen Plugin gesehen</translation>
    </message>
    <message>
        <source>What it sees</source>
        <translation>Was es sieht</translation>
    </message>
    <message>
        <source>live</source>
        <translation>live</translation>
    </message>
    <message>
        <source>opening</source>
        <translation>öffnet</translation>
    </message>
    <message>
        <source>lost</source>
        <translation>verloren</translation>
    </message>
    <message>
        <source>late</source>
        <translation>spät</translation>
    </message>
    <message>
        <source>Latency</source>
        <translation>Verzögerung</translation>
    </message>
    <message>
        <source>Latency, drops and age of the overlay</source>
        <translation>Verzögerung, Auslassungen und Alter der Einblendung</translation>
    </message>
    <message>
        <source>paused</source>
        <translation>Pause</translation>
    </message>
    <message>
        <source>no source</source>
        <translation>keine Quelle</translation>
    </message>
    <message>
        <source>{count} dropped</source>
        <translation>{count} ausgelassen</translation>
    </message>
    <message>
        <source>From frame in to painted</source>
        <translation>Vom Eintreffen bis zur Anzeige</translation>
    </message>
    <message>
        <source>Analysed</source>
        <translation>Ausgewertet</translation>
    </message>
    <message>
        <source>Nothing is measured yet</source>
        <translation>Noch nichts gemessen</translation>
    </message>
    <message>
        <source>Median</source>
        <translation>Median</translation>
    </message>
    <message>
        <source>95 of 100 within</source>
        <translation>95 von 100 innerhalb</translation>
    </message>
    <message>
        <source>99 of 100 within</source>
        <translation>99 von 100 innerhalb</translation>
    </message>
    <message>
        <source>Pictures a second</source>
        <translation>Bilder je Sekunde</translation>
    </message>
    <message>
        <source>Age of the overlay</source>
        <translation>Alter der Einblendung</translation>
    </message>
    <message>
        <source>{done} of {count} frames</source>
        <translation>{done} von {count} Bildern</translation>
    </message>
    <message>
        <source>Dropped: {cause}</source>
        <translation>Ausgelassen: {cause}</translation>
    </message>
    <message>
        <source>Latency: {word}</source>
        <translation>Verzögerung: {word}</translation>
    </message>
    <message>
        <source>Gain</source>
        <translation>Verstärkung</translation>
    </message>
    <message>
        <source>Gamma</source>
        <translation>Gamma</translation>
    </message>
    <message>
        <source>Show the picture as it is</source>
        <translation>Bild zeigen, wie es ist</translation>
    </message>
    <message>
        <source>Draw further up</source>
        <translation>Weiter oben zeichnen</translation>
    </message>
    <message>
        <source>Draw further down</source>
        <translation>Weiter unten zeichnen</translation>
    </message>
    <message>
        <source>View only</source>
        <translation>Nur Ansicht</translation>
    </message>
    <message>
        <source>off</source>
        <translation>aus</translation>
    </message>
    <message>
        <source>Show {layer}</source>
        <translation>{layer} zeigen</translation>
    </message>
    <message>
        <source>Opacity of {layer}</source>
        <translation>Deckkraft: {layer}</translation>
    </message>
    <message>
        <source>Layers</source>
        <translation>Ebenen</translation>
    </message>
    <message>
        <source>View</source>
        <translation>Ansicht</translation>
    </message>
    <message>
        <source>Read-outs</source>
        <translation>Messwerte</translation>
    </message>
    <message>
        <source>Live source</source>
        <translation>Live-Quelle</translation>
    </message>
    <message>
        <source>Sample case</source>
        <translation>Beispielfall</translation>
    </message>
    <message>
        <source>Simulated breast biopsy</source>
        <translation>Simulierte Brustbiopsie</translation>
    </message>
    <message>
        <source>Open a file</source>
        <translation>Datei öffnen</translation>
    </message>
    <message>
        <source>Open a file, or drop files and folders on the window</source>
        <translation>Datei öffnen, oder Dateien und Ordner in das Fenster ziehen</translation>
    </message>
    <message>
        <source>Simulator</source>
        <translation>Simulator</translation>
    </message>
    <message>
        <source>Samples</source>
        <translation>Beispiele</translation>
    </message>
    <message>
        <source>machine {name}</source>
        <translation>Gerät {name}</translation>
    </message>
    <message>
        <source>seed {number}</source>
        <translation>Startzahl {number}</translation>
    </message>
    <message>
        <source>Source</source>
        <translation>Quelle</translation>
    </message>
    <message>
        <source>Show folder</source>
        <translation>Ordner zeigen</translation>
    </message>
    <message>
        <source>Keys that work here</source>
        <translation>Tasten, die hier gelten</translation>
    </message>
    <message>
        <source>Timeline</source>
        <translation>Zeitachse</translation>
    </message>
    <message>
        <source>Tip</source>
        <translation>Spitze</translation>
    </message>
    <message>
        <source>Gaps</source>
        <translation>Lücken</translation>
    </message>
    <message>
        <source>Frame {index}</source>
        <translation>Bild {index}</translation>
    </message>
    <message>
        <source>uncalibrated</source>
        <translation>unkalibriert</translation>
    </message>
    <message>
        <source>Menu</source>
        <translation>Menü</translation>
    </message>
    <message>
        <source>Calibrate with a two-point ruler</source>
        <translation>Mit dem Zwei-Punkt-Lineal kalibrieren</translation>
    </message>
    <message>
        <source>Use the file's own calibration</source>
        <translation>Kalibrierung der Datei nehmen</translation>
    </message>
    <message>
        <source>Lengths are shown in pixels.</source>
        <translation>Längen werden in Pixeln gezeigt.</translation>
    </message>
    <message>
        <source>Show or hide the sources</source>
        <translation>Quellen zeigen oder verbergen</translation>
    </message>
    <message>
        <source>Show or hide the inspector</source>
        <translation>Befunde zeigen oder verbergen</translation>
    </message>
    <message>
        <source>Calibration: {words}</source>
        <translation>Kalibrierung: {words}</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>Tempo</translation>
    </message>
    <message>
        <source>Loop the range, or stop looping</source>
        <translation>Bereich wiederholen oder nicht mehr</translation>
    </message>
    <message>
        <source>First frame</source>
        <translation>Erstes Bild</translation>
    </message>
    <message>
        <source>One frame back</source>
        <translation>Ein Bild zurück</translation>
    </message>
    <message>
        <source>Play or pause</source>
        <translation>Wiedergabe oder Pause</translation>
    </message>
    <message>
        <source>One frame on</source>
        <translation>Ein Bild weiter</translation>
    </message>
    <message>
        <source>Last frame</source>
        <translation>Letztes Bild</translation>
    </message>
    <message>
        <source>whole case</source>
        <translation>ganzer Fall</translation>
    </message>
    <message>
        <source>Frame {index} / {last}</source>
        <translation>Bild {index} / {last}</translation>
    </message>
    <message>
        <source>Close this card</source>
        <translation>Karte schließen</translation>
    </message>
    <message>
        <source>Three things to try</source>
        <translation>Drei Dinge zum Ausprobieren</translation>
    </message>
    <message>
        <source>Simulated</source>
        <translation>Simuliert</translation>
    </message>
    <message>
        <source>Set the target</source>
        <translation>Ziel setzen</translation>
    </message>
    <message>
        <source>Show the whole picture</source>
        <translation>Ganzes Bild zeigen</translation>
    </message>
    <message>
        <source>Save the picture with its overlay, with Shift without</source>
        <translation>Bild mit Einblendung speichern, mit Umschalt ohne</translation>
    </message>
    <message>
        <source>Picture</source>
        <translation>Bild</translation>
    </message>
    <message>
        <source>Open a folder</source>
        <translation>Ordner öffnen</translation>
    </message>
    <message>
        <source>Click two points whose distance you know. Esc ends.</source>
        <translation>Klicken Sie zwei Punkte mit bekanntem Abstand. Esc beendet.</translation>
    </message>
    <message>
        <source>The picture cannot be saved.</source>
        <translation>Das Bild lässt sich nicht speichern.</translation>
    </message>
    <message>
        <source>Cases</source>
        <translation>Fälle</translation>
    </message>
    <message>
        <source>All files</source>
        <translation>Alle Dateien</translation>
    </message>
    <message>
        <source>Click the target. Esc ends.</source>
        <translation>Klicken Sie das Ziel. Esc beendet.</translation>
    </message>
    <message>
        <source>These points are too close together. Click two others.</source>
        <translation>Diese Punkte liegen zu nah beieinander. Klicken Sie zwei andere.</translation>
    </message>
    <message>
        <source>There is no picture to save.</source>
        <translation>Es gibt kein Bild zu speichern.</translation>
    </message>
    <message>
        <source>Saved as {name} in {folder}</source>
        <translation>Gespeichert als {name} in {folder}</translation>
    </message>
    <message>
        <source>{plugin} is off after three faults in a row. The picture goes on without it.</source>
        <translation>{plugin} ist nach drei Fehlern in Folge aus. Das Bild läuft ohne weiter.</translation>
    </message>
    <message>
        <source>{plugin} is off. {reason}</source>
        <translation>{plugin} ist aus. {reason}</translation>
    </message>
    <message>
        <source>Analysis does not keep up. The overlay is off until it does.</source>
        <translation>Die Auswertung kommt nicht nach. Die Einblendung ist so lange aus.</translation>
    </message>
    <message>
        <source>The source stopped.</source>
        <translation>Die Quelle ist stehengeblieben.</translation>
    </message>
    <message>
        <source>This source cannot be opened.</source>
        <translation>Diese Quelle lässt sich nicht öffnen.</translation>
    </message>
    <message>
        <source>Live</source>
        <translation>Live</translation>
    </message>
    <message>
        <source>Review</source>
        <translation>Nachschau</translation>
    </message>
    <message>
        <source>Play</source>
        <translation>Wiedergabe</translation>
    </message>
    <message>
        <source>Range</source>
        <translation>Bereich</translation>
    </message>
    <message>
        <source>Case</source>
        <translation>Fall</translation>
    </message>
    <message>
        <source>Window</source>
        <translation>Fenster</translation>
    </message>
    <message>
        <source>Ten frames back</source>
        <translation>Zehn Bilder zurück</translation>
    </message>
    <message>
        <source>Ten frames on</source>
        <translation>Zehn Bilder weiter</translation>
    </message>
    <message>
        <source>Play backwards, again for faster</source>
        <translation>Rückwärts, noch einmal für schneller</translation>
    </message>
    <message>
        <source>Hold</source>
        <translation>Halten</translation>
    </message>
    <message>
        <source>Play forwards, again for faster</source>
        <translation>Vorwärts, noch einmal für schneller</translation>
    </message>
    <message>
        <source>Slower</source>
        <translation>Langsamer</translation>
    </message>
    <message>
        <source>Faster</source>
        <translation>Schneller</translation>
    </message>
    <message>
        <source>Range starts here</source>
        <translation>Bereich beginnt hier</translation>
    </message>
    <message>
        <source>Range ends here</source>
        <translation>Bereich endet hier</translation>
    </message>
    <message>
        <source>Hide the overlay while held</source>
        <translation>Einblendung verbergen, solange gehalten</translation>
    </message>
    <message>
        <source>Set the target at the cursor</source>
        <translation>Ziel am Mauszeiger setzen</translation>
    </message>
    <message>
        <source>Remove the target</source>
        <translation>Ziel entfernen</translation>
    </message>
    <message>
        <source>Magnify</source>
        <translation>Vergrößern</translation>
    </message>
    <message>
        <source>Make smaller</source>
        <translation>Verkleinern</translation>
    </message>
    <message>
        <source>Save the picture with its overlay</source>
        <translation>Bild mit Einblendung speichern</translation>
    </message>
    <message>
        <source>Save the picture without overlay</source>
        <translation>Bild ohne Einblendung speichern</translation>
    </message>
    <message>
        <source>Full screen</source>
        <translation>Ganzer Bildschirm</translation>
    </message>
    <message>
        <source>Put the tool down, close what is open</source>
        <translation>Werkzeug ablegen, Offenes schließen</translation>
    </message>
    <message>
        <source>Quit</source>
        <translation>Beenden</translation>
    </message>
    <message>
        <source>play, pause</source>
        <translation>Wiedergabe, Pause</translation>
    </message>
    <message>
        <source>frame</source>
        <translation>Bild</translation>
    </message>
    <message>
        <source>10 frames</source>
        <translation>10 Bilder</translation>
    </message>
    <message>
        <source>range starts</source>
        <translation>Bereich ab</translation>
    </message>
    <message>
        <source>ends</source>
        <translation>bis</translation>
    </message>
    <message>
        <source>loop</source>
        <translation>wiederholen</translation>
    </message>
    <message>
        <source>hold to hide overlay</source>
        <translation>halten: ohne Einblendung</translation>
    </message>
    <message>
        <source>set target</source>
        <translation>Ziel setzen</translation>
    </message>
    <message>
        <source>save picture</source>
        <translation>Bild speichern</translation>
    </message>
    <message>
        <source>open</source>
        <translation>öffnen</translation>
    </message>
    <message>
        <source>all keys</source>
        <translation>alle Tasten</translation>
    </message>
    <message>
        <source>pauses the picture</source>
        <translation>hält das Bild an</translation>
    </message>
    <message>
        <source>held down hides the overlay</source>
        <translation>gehalten verbirgt die Einblendung</translation>
    </message>
    <message>
        <source>over the lesion sets a target</source>
        <translation>über dem Herd setzt ein Ziel</translation>
    </message>
    <message>
        <source>Breast biopsy</source>
        <translation>Brustbiopsie</translation>
    </message>
    <message>
        <source>Nerve block</source>
        <translation>Nervenblockade</translation>
    </message>
    <message>
        <source>Vessel access</source>
        <translation>Gefäßzugang</translation>
    </message>
    <message>
        <source>Trainee</source>
        <translation>Lernende</translation>
    </message>
    <message>
        <source>Annotator</source>
        <translation>Annotierende</translation>
    </message>
    <message>
        <source>Educator</source>
        <translation>Lehrende</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>Dunkel</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>Hell</translation>
    </message>
    <message>
        <source>Picture and overlay of the same frame</source>
        <translation>Bild und Einblendung vom selben Bild</translation>
    </message>
    <message>
        <source>Newest picture at once</source>
        <translation>Neuestes Bild sofort</translation>
    </message>
    <message>
        <source>Path</source>
        <translation>Bahn</translation>
    </message>
    <message>
        <source>Needle mask</source>
        <translation>Nadelmaske</translation>
    </message>
    <message>
        <source>Target</source>
        <translation>Ziel</translation>
    </message>
    <message>
        <source>Heat map</source>
        <translation>Wärmebild</translation>
    </message>
    <message>
        <source>late for its time</source>
        <translation>zu spät für seine Zeit</translation>
    </message>
    <message>
        <source>analysis was busy</source>
        <translation>Auswertung war beschäftigt</translation>
    </message>
    <message>
        <source>lost by the source</source>
        <translation>von der Quelle verloren</translation>
    </message>
    <message>
        <source>Tip depth</source>
        <translation>Tiefe der Spitze</translation>
    </message>
    <message>
        <source>To target</source>
        <translation>Zum Ziel</translation>
    </message>
    <message>
        <source>Path misses by</source>
        <translation>Bahn verfehlt um</translation>
    </message>
    <message>
        <source>to horizontal</source>
        <translation>zur Waagerechten</translation>
    </message>
    <message>
        <source>below the picture's top edge</source>
        <translation>unter dem oberen Bildrand</translation>
    </message>
    <message>
        <source>tip to target</source>
        <translation>Spitze bis Ziel</translation>
    </message>
    <message>
        <source>projected axis to target</source>
        <translation>verlängerte Achse bis Ziel</translation>
    </message>
    <message>
        <source>Simulation and training only, not for clinical use</source>
        <translation>Nur für Simulation und Ausbildung, nicht für klinische Anwendung</translation>
    </message>
    <message>
        <source>Uncalibrated</source>
        <translation>Unkalibriert</translation>
    </message>
    <message>
        <source>Frames skipped</source>
        <translation>Bilder ausgelassen</translation>
    </message>
    <message>
        <source>Old result</source>
        <translation>Altes Ergebnis</translation>
    </message>
    <message>
        <source>Low confidence</source>
        <translation>Geringe Konfidenz</translation>
    </message>
    <message>
        <source>Unfamiliar picture</source>
        <translation>Ungewohntes Bild</translation>
    </message>
    <message>
        <source>Plugin fault</source>
        <translation>Plugin-Fehler</translation>
    </message>
    <message>
        <source>Too slow</source>
        <translation>Zu langsam</translation>
    </message>
    <message>
        <source>ultrasound region</source>
        <translation>Ultraschallregion</translation>
    </message>
    <message>
        <source>file spacing</source>
        <translation>Pixelabstand der Datei</translation>
    </message>
    <message>
        <source>vendor</source>
        <translation>Hersteller</translation>
    </message>
    <message>
        <source>two-point ruler</source>
        <translation>Zwei-Punkt-Lineal</translation>
    </message>
    <message>
        <source>simulated</source>
        <translation>simuliert</translation>
    </message>
    <message>
        <source>none</source>
        <translation>keine</translation>
    </message>
    <message>
        <source>tip</source>
        <translation>Spitze</translation>
    </message>
    <message>
        <source>tip, expected</source>
        <translation>Spitze, erwartet</translation>
    </message>
    <message>
        <source>the target lies behind the tip</source>
        <translation>das Ziel liegt hinter der Spitze</translation>
    </message>
    <message>
        <source>tip, unsure</source>
        <translation>Spitze, unsicher</translation>
    </message>
    <message>
        <source>target</source>
        <translation>Ziel</translation>
    </message>
    <message>
        <source>yes</source>
        <translation>ja</translation>
    </message>
    <message>
        <source>no</source>
        <translation>nein</translation>
    </message>
    <message>
        <source>1 of {count}</source>
        <translation>1 von {count}</translation>
    </message>
    <message>
        <source>cannot tell</source>
        <translation>nicht erkennbar</translation>
    </message>
    <message>
        <source>Needle tip</source>
        <translation>Nadelspitze</translation>
    </message>
    <message>
        <source>Needle tip, training-free reference</source>
        <translation>Nadelspitze, Vergleich ohne Training</translation>
    </message>
    <message>
        <source>there is no earlier frame to compare with</source>
        <translation>es gibt kein früheres Bild zum Vergleichen</translation>
    </message>
    <message>
        <source>nothing grew clearly brighter</source>
        <translation>nichts wurde deutlich heller</translation>
    </message>
    <message>
        <source>nothing new stands out</source>
        <translation>nichts Neues hebt sich ab</translation>
    </message>
    <message>
        <source>the picture is empty</source>
        <translation>das Bild ist leer</translation>
    </message>
    <message>
        <source>A virtual needle in simulated tissue. The same seed gives the same subject.</source>
        <translation>Eine virtuelle Nadel in simuliertem Gewebe. Gleiche Startzahl, gleicher Körper.</translation>
    </message>
    <message>
        <source>Across the plane</source>
        <translation>Quer zur Bildebene</translation>
    </message>
    <message>
        <source>Another subject</source>
        <translation>Anderer Körper</translation>
    </message>
    <message>
        <source>As usual</source>
        <translation>Wie üblich</translation>
    </message>
    <message>
        <source>Attempt</source>
        <translation>Versuch</translation>
    </message>
    <message>
        <source>By {models}</source>
        <translation>Von {models}</translation>
    </message>
    <message>
        <source>By the seed</source>
        <translation>Nach der Startzahl</translation>
    </message>
    <message>
        <source>Done</source>
        <translation>Fertig</translation>
    </message>
    <message>
        <source>Done beside the target</source>
        <translation>Fertig, neben dem Ziel</translation>
    </message>
    <message>
        <source>Done in the target</source>
        <translation>Fertig, im Ziel</translation>
    </message>
    <message>
        <source>Entry: away from you, needle outside</source>
        <translation>Einstich: von Ihnen weg, Nadel außen</translation>
    </message>
    <message>
        <source>Entry: to the left, needle outside</source>
        <translation>Einstich: nach links, Nadel außen</translation>
    </message>
    <message>
        <source>Entry: to the right, needle outside</source>
        <translation>Einstich: nach rechts, Nadel außen</translation>
    </message>
    <message>
        <source>Entry: towards you, needle outside</source>
        <translation>Einstich: zu Ihnen hin, Nadel außen</translation>
    </message>
    <message>
        <source>Fire</source>
        <translation>Auslösen</translation>
    </message>
    <message>
        <source>Fluid injected</source>
        <translation>Eingespritzte Flüssigkeit</translation>
    </message>
    <message>
        <source>From above</source>
        <translation>Von oben</translation>
    </message>
    <message>
        <source>From above; up is behind the plane</source>
        <translation>Von oben; oben liegt hinter der Bildebene</translation>
    </message>
    <message>
        <source>Hands</source>
        <translation>Hände</translation>
    </message>
    <message>
        <source>Hits of what must not be hit</source>
        <translation>Treffer, die nicht sein dürfen</translation>
    </message>
    <message>
        <source>In the picture's plane</source>
        <translation>In der Bildebene</translation>
    </message>
    <message>
        <source>Inject</source>
        <translation>Einspritzen</translation>
    </message>
    <message>
        <source>Long axis</source>
        <translation>Längsachse</translation>
    </message>
    <message>
        <source>Longitudinal</source>
        <translation>Längs</translation>
    </message>
    <message>
        <source>Moves</source>
        <translation>Bewegungen</translation>
    </message>
    <message>
        <source>Nearest to the target</source>
        <translation>Kleinster Abstand zum Ziel</translation>
    </message>
    <message>
        <source>Needle</source>
        <translation>Nadel</translation>
    </message>
    <message>
        <source>Needle: advance</source>
        <translation>Nadel: vorschieben</translation>
    </message>
    <message>
        <source>Needle: fire the biopsy gun</source>
        <translation>Nadel: Biopsiegerät auslösen</translation>
    </message>
    <message>
        <source>Needle: flatter</source>
        <translation>Nadel: flacher</translation>
    </message>
    <message>
        <source>Needle: inject while held</source>
        <translation>Nadel: einspritzen, solange gehalten</translation>
    </message>
    <message>
        <source>Needle: steeper</source>
        <translation>Nadel: steiler</translation>
    </message>
    <message>
        <source>Needle: swing left, seen from behind it</source>
        <translation>Nadel: nach links schwenken, von hinter ihr gesehen</translation>
    </message>
    <message>
        <source>Needle: swing right, seen from behind it</source>
        <translation>Nadel: nach rechts schwenken, von hinter ihr gesehen</translation>
    </message>
    <message>
        <source>Needle: withdraw</source>
        <translation>Nadel: zurückziehen</translation>
    </message>
    <message>
        <source>Probe</source>
        <translation>Schallkopf</translation>
    </message>
    <message>
        <source>Probe: lift</source>
        <translation>Schallkopf: anheben</translation>
    </message>
    <message>
        <source>Probe: press</source>
        <translation>Schallkopf: andrücken</translation>
    </message>
    <message>
        <source>Probe: rock left</source>
        <translation>Schallkopf: nach links wippen</translation>
    </message>
    <message>
        <source>Probe: rock right</source>
        <translation>Schallkopf: nach rechts wippen</translation>
    </message>
    <message>
        <source>Probe: slide left</source>
        <translation>Schallkopf: nach links schieben</translation>
    </message>
    <message>
        <source>Probe: slide right</source>
        <translation>Schallkopf: nach rechts schieben</translation>
    </message>
    <message>
        <source>Probe: sweep away from you</source>
        <translation>Schallkopf: von Ihnen weg streichen</translation>
    </message>
    <message>
        <source>Probe: sweep towards you</source>
        <translation>Schallkopf: zu Ihnen hin streichen</translation>
    </message>
    <message>
        <source>Probe: tilt away from you</source>
        <translation>Schallkopf: von Ihnen weg kippen</translation>
    </message>
    <message>
        <source>Probe: tilt towards you</source>
        <translation>Schallkopf: zu Ihnen hin kippen</translation>
    </message>
    <message>
        <source>Probe: twist left</source>
        <translation>Schallkopf: nach links drehen</translation>
    </message>
    <message>
        <source>Probe: twist right</source>
        <translation>Schallkopf: nach rechts drehen</translation>
    </message>
    <message>
        <source>Radial</source>
        <translation>Radial</translation>
    </message>
    <message>
        <source>Save the moves</source>
        <translation>Bewegungen speichern</translation>
    </message>
    <message>
        <source>Shift + drag</source>
        <translation>Umschalt + Ziehen</translation>
    </message>
    <message>
        <source>Short axis</source>
        <translation>Kurzachse</translation>
    </message>
    <message>
        <source>Shots</source>
        <translation>Schüsse</translation>
    </message>
    <message>
        <source>Show or hide the hands</source>
        <translation>Hände ein- oder ausblenden</translation>
    </message>
    <message>
        <source>Simulated; measured from where the needle really is.</source>
        <translation>Simuliert; gemessen an der wahren Lage der Nadel.</translation>
    </message>
    <message>
        <source>Steer it yourself</source>
        <translation>Selbst steuern</translation>
    </message>
    <message>
        <source>Steer this simulation yourself</source>
        <translation>Diese Simulation selbst steuern</translation>
    </message>
    <message>
        <source>Steering</source>
        <translation>Steuern</translation>
    </message>
    <message>
        <source>Steering: attempt</source>
        <translation>Steuern: Versuch</translation>
    </message>
    <message>
        <source>Steering: needle</source>
        <translation>Steuern: Nadel</translation>
    </message>
    <message>
        <source>Steering: probe</source>
        <translation>Steuern: Schallkopf</translation>
    </message>
    <message>
        <source>The attempt</source>
        <translation>Der Versuch</translation>
    </message>
    <message>
        <source>The attempt begins when the needle touches the skin.</source>
        <translation>Der Versuch beginnt, wenn die Nadel die Haut berührt.</translation>
    </message>
    <message>
        <source>The attempt is done</source>
        <translation>Der Versuch ist fertig</translation>
    </message>
    <message>
        <source>The moves cannot be saved.</source>
        <translation>Die Bewegungen lassen sich nicht speichern.</translation>
    </message>
    <message>
        <source>The target is in the plane.</source>
        <translation>Das Ziel liegt in der Bildebene.</translation>
    </message>
    <message>
        <source>The target is {distance} mm in front of the plane.</source>
        <translation>Das Ziel liegt {distance} mm vor der Bildebene.</translation>
    </message>
    <message>
        <source>The target is {distance} mm behind the plane.</source>
        <translation>Das Ziel liegt {distance} mm hinter der Bildebene.</translation>
    </message>
    <message>
        <source>The tip is {place}.</source>
        <translation>Die Spitze liegt {place}.</translation>
    </message>
    <message>
        <source>Tip to target at the end</source>
        <translation>Spitze zum Ziel am Ende</translation>
    </message>
    <message>
        <source>Transverse</source>
        <translation>Quer</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>Noch einmal</translation>
    </message>
    <message>
        <source>Try again on the same subject</source>
        <translation>Noch einmal am selben Körper</translation>
    </message>
    <message>
        <source>Watch</source>
        <translation>Zusehen</translation>
    </message>
    <message>
        <source>advance</source>
        <translation>vorschieben</translation>
    </message>
    <message>
        <source>angle</source>
        <translation>Winkel</translation>
    </message>
    <message>
        <source>artery hit</source>
        <translation>Arterie getroffen</translation>
    </message>
    <message>
        <source>at the pleura</source>
        <translation>an der Pleura</translation>
    </message>
    <message>
        <source>bone hit</source>
        <translation>Knochen getroffen</translation>
    </message>
    <message>
        <source>cord hit</source>
        <translation>Rückenmark getroffen</translation>
    </message>
    <message>
        <source>depth</source>
        <translation>Tiefe</translation>
    </message>
    <message>
        <source>disc hit</source>
        <translation>Bandscheibe getroffen</translation>
    </message>
    <message>
        <source>done</source>
        <translation>fertig</translation>
    </message>
    <message>
        <source>drag across</source>
        <translation>quer ziehen</translation>
    </message>
    <message>
        <source>drag along</source>
        <translation>längs ziehen</translation>
    </message>
    <message>
        <source>dura hit</source>
        <translation>Dura getroffen</translation>
    </message>
    <message>
        <source>entry, swing</source>
        <translation>Einstich, Schwenk</translation>
    </message>
    <message>
        <source>fire</source>
        <translation>auslösen</translation>
    </message>
    <message>
        <source>fluid injected</source>
        <translation>Flüssigkeit eingespritzt</translation>
    </message>
    <message>
        <source>gun fired</source>
        <translation>Biopsiegerät ausgelöst</translation>
    </message>
    <message>
        <source>in CSF</source>
        <translation>im Liquor</translation>
    </message>
    <message>
        <source>in a disc</source>
        <translation>in einer Bandscheibe</translation>
    </message>
    <message>
        <source>in a duct</source>
        <translation>in einem Milchgang</translation>
    </message>
    <message>
        <source>in a haematoma</source>
        <translation>in einem Hämatom</translation>
    </message>
    <message>
        <source>in a ligament</source>
        <translation>in einem Band</translation>
    </message>
    <message>
        <source>in a tendon</source>
        <translation>in einer Sehne</translation>
    </message>
    <message>
        <source>in a vessel's wall</source>
        <translation>in einer Gefäßwand</translation>
    </message>
    <message>
        <source>in air</source>
        <translation>in Luft</translation>
    </message>
    <message>
        <source>in cartilage</source>
        <translation>im Knorpel</translation>
    </message>
    <message>
        <source>in connective tissue</source>
        <translation>im Bindegewebe</translation>
    </message>
    <message>
        <source>in epidural fat</source>
        <translation>im Epiduralfett</translation>
    </message>
    <message>
        <source>in fascia</source>
        <translation>in der Faszie</translation>
    </message>
    <message>
        <source>in fat</source>
        <translation>im Fett</translation>
    </message>
    <message>
        <source>in gel</source>
        <translation>im Gel</translation>
    </message>
    <message>
        <source>in gland</source>
        <translation>im Drüsengewebe</translation>
    </message>
    <message>
        <source>in injected fluid</source>
        <translation>in eingespritzter Flüssigkeit</translation>
    </message>
    <message>
        <source>in muscle</source>
        <translation>im Muskel</translation>
    </message>
    <message>
        <source>in the artery</source>
        <translation>in der Arterie</translation>
    </message>
    <message>
        <source>in the cauda equina</source>
        <translation>in der Cauda equina</translation>
    </message>
    <message>
        <source>in the cord</source>
        <translation>im Rückenmark</translation>
    </message>
    <message>
        <source>in the cyst</source>
        <translation>in der Zyste</translation>
    </message>
    <message>
        <source>in the dura</source>
        <translation>in der Dura</translation>
    </message>
    <message>
        <source>in the lung</source>
        <translation>in der Lunge</translation>
    </message>
    <message>
        <source>in the mass</source>
        <translation>im Herd</translation>
    </message>
    <message>
        <source>in the nerve</source>
        <translation>im Nerv</translation>
    </message>
    <message>
        <source>in the plane</source>
        <translation>in der Bildebene</translation>
    </message>
    <message>
        <source>in the skin</source>
        <translation>in der Haut</translation>
    </message>
    <message>
        <source>in the vein</source>
        <translation>in der Vene</translation>
    </message>
    <message>
        <source>inject</source>
        <translation>einspritzen</translation>
    </message>
    <message>
        <source>lung hit</source>
        <translation>Lunge getroffen</translation>
    </message>
    <message>
        <source>muscle hit</source>
        <translation>Muskel getroffen</translation>
    </message>
    <message>
        <source>needle withdrawn</source>
        <translation>Nadel herausgezogen</translation>
    </message>
    <message>
        <source>needle {angle}°</source>
        <translation>Nadel {angle}°</translation>
    </message>
    <message>
        <source>nerve hit</source>
        <translation>Nerv getroffen</translation>
    </message>
    <message>
        <source>nerve root hit</source>
        <translation>Nervenwurzel getroffen</translation>
    </message>
    <message>
        <source>on bone</source>
        <translation>auf Knochen</translation>
    </message>
    <message>
        <source>outside</source>
        <translation>außen</translation>
    </message>
    <message>
        <source>pleura hit</source>
        <translation>Pleura getroffen</translation>
    </message>
    <message>
        <source>press, lift</source>
        <translation>andrücken, anheben</translation>
    </message>
    <message>
        <source>probe</source>
        <translation>Schallkopf</translation>
    </message>
    <message>
        <source>probe lifted off</source>
        <translation>Schallkopf abgehoben</translation>
    </message>
    <message>
        <source>pushed against bone</source>
        <translation>gegen Knochen gedrückt</translation>
    </message>
    <message>
        <source>right drag</source>
        <translation>rechts ziehen</translation>
    </message>
    <message>
        <source>rock</source>
        <translation>wippen</translation>
    </message>
    <message>
        <source>skin touched</source>
        <translation>Haut berührt</translation>
    </message>
    <message>
        <source>slide</source>
        <translation>schieben</translation>
    </message>
    <message>
        <source>sweep across</source>
        <translation>quer streichen</translation>
    </message>
    <message>
        <source>target left</source>
        <translation>Ziel verlassen</translation>
    </message>
    <message>
        <source>target reached</source>
        <translation>Ziel erreicht</translation>
    </message>
    <message>
        <source>target {distance} mm</source>
        <translation>Ziel {distance} mm</translation>
    </message>
    <message>
        <source>tilt</source>
        <translation>kippen</translation>
    </message>
    <message>
        <source>twist</source>
        <translation>drehen</translation>
    </message>
    <message>
        <source>vein hit</source>
        <translation>Vene getroffen</translation>
    </message>
    <message>
        <source>wheel</source>
        <translation>Mausrad</translation>
    </message>
    <message>
        <source>{distance} mm in front of the plane</source>
        <translation>{distance} mm vor der Bildebene</translation>
    </message>
    <message>
        <source>{distance} mm behind the plane</source>
        <translation>{distance} mm hinter der Bildebene</translation>
    </message>
    <message>
        <source>{place}, pushing ahead</source>
        <translation>{place}, drückt vor sich her</translation>
    </message>
    <message>
        <source>{what} at {time} s</source>
        <translation>{what} bei {time} s</translation>
    </message>
    <message>
        <source>Infant LP</source>
        <translation>LP beim Säugling</translation>
    </message>
    <message>
        <source>a layer gives way</source>
        <translation>eine Schicht gibt nach</translation>
    </message>
    <message>
        <source>far wall pierced</source>
        <translation>Hinterwand durchstochen</translation>
    </message>
    <message>
        <source>{place}, on target</source>
        <translation>{place}, am Ziel</translation>
    </message>
    <message>
        <source>Insertions</source>
        <translation>Einstiche</translation>
    </message>
    <message>
        <source>{needle}, crosses here</source>
        <translation>{needle}, kreuzt hier</translation>
    </message>
    <message>
        <source>Steered</source>
        <translation>Gesteuert</translation>
    </message>
    <message>
        <source>Another source was opened; the moves of the attempt are not saved yet.</source>
        <translation>Eine andere Quelle ist offen; die Bewegungen des Versuchs sind noch nicht gespeichert.</translation>
    </message>
    <message>
        <source>The attempt was ended, since another source was opened.</source>
        <translation>Der Versuch ist beendet, weil eine andere Quelle geöffnet wurde.</translation>
    </message>
    <message>
        <source>{what} twice</source>
        <translation>{what}, zweimal</translation>
    </message>
    <message>
        <source>{what} {count} times</source>
        <translation>{what}, {count}-mal</translation>
    </message>
    <message>
        <source>Done {distance} mm from the target</source>
        <translation>Fertig, {distance} mm vom Ziel</translation>
    </message>
    <message>
        <source>{key} shows the card again.</source>
        <translation>{key} zeigt die Karte wieder.</translation>
    </message>
    <message>
        <source>Close this card; {key} brings it back</source>
        <translation>Karte schließen; {key} bringt sie zurück</translation>
    </message>
    <message>
        <source>wheel down</source>
        <translation>Mausrad abwärts</translation>
    </message>
    <message>
        <source>deeper</source>
        <translation>tiefer</translation>
    </message>
    <message>
        <source>The tip is {place}, beside the picture.</source>
        <translation>Die Spitze ist {place}, neben dem Bild.</translation>
    </message>
    <message>
        <source>A whole number, 0 to 999999.</source>
        <translation>Eine ganze Zahl, 0 bis 999999.</translation>
    </message>
    <message>
        <source>Record, or stop recording</source>
        <translation>Aufnehmen oder die Aufnahme beenden</translation>
    </message>
    <message>
        <source>record</source>
        <translation>aufnehmen</translation>
    </message>
    <message>
        <source>Save the last seconds</source>
        <translation>Die letzten Sekunden sichern</translation>
    </message>
    <message>
        <source>Save the last {seconds} s</source>
        <translation>Die letzten {seconds} s sichern</translation>
    </message>
    <message>
        <source>Record</source>
        <translation>Aufnehmen</translation>
    </message>
    <message>
        <source>Stop recording</source>
        <translation>Aufnahme beenden</translation>
    </message>
    <message>
        <source>Recording</source>
        <translation>Aufnahme</translation>
    </message>
    <message>
        <source>{count} frames lost</source>
        <translation>{count} Bilder verloren</translation>
    </message>
    <message>
        <source>disk for {minutes} min</source>
        <translation>Platz für {minutes} min</translation>
    </message>
    <message>
        <source>disk for {hours} h</source>
        <translation>Platz für {hours} h</translation>
    </message>
    <message>
        <source>There is no live picture to record.</source>
        <translation>Es gibt kein Live-Bild zum Aufnehmen.</translation>
    </message>
    <message>
        <source>Record the whole picture</source>
        <translation>Das ganze Bild aufnehmen</translation>
    </message>
    <message>
        <source>Open it</source>
        <translation>Öffnen</translation>
    </message>
    <message>
        <source>Open a live source</source>
        <translation>Live-Quelle öffnen</translation>
    </message>
    <message>
        <source>Found here</source>
        <translation>Hier gefunden</translation>
    </message>
    <message>
        <source>Address</source>
        <translation>Adresse</translation>
    </message>
    <message>
        <source>Looking for devices</source>
        <translation>Geräte werden gesucht</translation>
    </message>
    <message>
        <source>No camera or screen is found here</source>
        <translation>Keine Kamera und kein Bildschirm gefunden</translation>
    </message>
    <message>
        <source>see the message</source>
        <translation>siehe Meldung</translation>
    </message>
    <message>
        <source>Puncta tries again by itself.</source>
        <translation>Puncta versucht es von selbst wieder.</translation>
    </message>
    <message>
        <source>The picture is over 100 ms old when it is shown. Choose a smaller one, or close other programs.</source>
        <translation>Das Bild ist beim Anzeigen mehr als 100 ms alt. Wählen Sie ein kleineres oder schließen Sie andere Programme.</translation>
    </message>
    <message>
        <source>{rate} of {promised} a second</source>
        <translation>{rate} von {promised} in der Sekunde</translation>
    </message>
    <message>
        <source>Pictures that come</source>
        <translation>Bilder, die ankommen</translation>
    </message>
    <message>
        <source>Jitter, 95 of 100 within</source>
        <translation>Schwankung, 95 von 100 innerhalb</translation>
    </message>
    <message>
        <source>Last picture</source>
        <translation>Letztes Bild</translation>
    </message>
    <message>
        <source>{time} s ago</source>
        <translation>vor {time} s</translation>
    </message>
    <message>
        <source>Found again</source>
        <translation>Wiedergefunden</translation>
    </message>
    <message>
        <source>{count} times</source>
        <translation>{count}-mal</translation>
    </message>
    <message>
        <source>Attempts</source>
        <translation>Versuche</translation>
    </message>
    <message>
        <source>the program was busy</source>
        <translation>das Programm war beschäftigt</translation>
    </message>
    <message>
        <source>damaged on the way</source>
        <translation>unterwegs beschädigt</translation>
    </message>
    <message>
        <source>{median}, 95 of 100 within {most}, 99 within {worst} ms</source>
        <translation>{median}, 95 von 100 innerhalb von {most}, 99 innerhalb von {worst} ms</translation>
    </message>
    <message>
        <source>damaged transforms</source>
        <translation>beschädigte Transformationen</translation>
    </message>
    <message>
        <source>Transform {name}</source>
        <translation>Transformation {name}</translation>
    </message>
    <message>
        <source>{rate} a second</source>
        <translation>{rate} je Sekunde</translation>
    </message>
    <message>
        <source>missing in the stream</source>
        <translation>fehlt im Strom</translation>
    </message>
    <message>
        <source>A pedal counts as a keyboard; press it in a field.</source>
        <translation>Ein Pedal gilt als Tastatur; drücken Sie es in einem Feld.</translation>
    </message>
    <message>
        <source>Click where the needle is to enter. Esc ends.</source>
        <translation>Klicken Sie, wo die Nadel eintreten soll. Esc beendet.</translation>
    </message>
    <message>
        <source>Followed by the simulation's truth.</source>
        <translation>Folgt der Wahrheit der Simulation.</translation>
    </message>
    <message>
        <source>Follows the tissue, ± {doubt}.</source>
        <translation>Folgt dem Gewebe, ± {doubt}.</translation>
    </message>
    <message>
        <source>Foot pedals</source>
        <translation>Fußpedale</translation>
    </message>
    <message>
        <source>Key of pedal {number}</source>
        <translation>Taste von Pedal {number}</translation>
    </message>
    <message>
        <source>No target is set.</source>
        <translation>Kein Ziel ist gesetzt.</translation>
    </message>
    <message>
        <source>Picture on a second screen</source>
        <translation>Bild auf einem zweiten Bildschirm</translation>
    </message>
    <message>
        <source>Plan a path</source>
        <translation>Weg planen</translation>
    </message>
    <message>
        <source>Plan a path to the target</source>
        <translation>Weg zum Ziel planen</translation>
    </message>
    <message>
        <source>Planned: {angle}° to the horizontal, {length} to the {target}.</source>
        <translation>Geplant: {angle}° zur Waagerechten, {length} bis: {target}.</translation>
    </message>
    <message>
        <source>Puncta, second screen</source>
        <translation>Puncta, zweiter Bildschirm</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>Entfernen</translation>
    </message>
    <message>
        <source>Remove the planned path</source>
        <translation>Geplanten Weg entfernen</translation>
    </message>
    <message>
        <source>Second screen</source>
        <translation>Zweiter Bildschirm</translation>
    </message>
    <message>
        <source>Set it again</source>
        <translation>Neu setzen</translation>
    </message>
    <message>
        <source>Set the target first; the planned path leads to it.</source>
        <translation>Setzen Sie zuerst das Ziel; der geplante Weg führt dorthin.</translation>
    </message>
    <message>
        <source>Set the target with the next click</source>
        <translation>Ziel mit dem nächsten Klick setzen</translation>
    </message>
    <message>
        <source>Sounds</source>
        <translation>Töne</translation>
    </message>
    <message>
        <source>Sounds on or off</source>
        <translation>Töne ein oder aus</translation>
    </message>
    <message>
        <source>Take the pedal away: {number}</source>
        <translation>Pedal entfernen: {number}</translation>
    </message>
    <message>
        <source>Target lost: {why}.</source>
        <translation>Ziel verloren: {why}.</translation>
    </message>
    <message>
        <source>The target waits for a picture.</source>
        <translation>Das Ziel wartet auf ein Bild.</translation>
    </message>
    <message>
        <source>Throw</source>
        <translation>Hub</translation>
    </message>
    <message>
        <source>What pedal {number} does</source>
        <translation>Was Pedal {number} tut</translation>
    </message>
    <message>
        <source>another pedal</source>
        <translation>ein anderes Pedal</translation>
    </message>
    <message>
        <source>plan</source>
        <translation>planen</translation>
    </message>
    <message>
        <source>{plugins} is not installed; the picture goes on without it.</source>
        <translation>{plugins} ist nicht installiert; das Bild läuft ohne weiter.</translation>
    </message>
    <message>
        <source>the picture shows another plane</source>
        <translation>das Bild zeigt eine andere Ebene</translation>
    </message>
    <message>
        <source>it may be more than 3 mm off</source>
        <translation>es kann mehr als 3 mm daneben liegen</translation>
    </message>
    <message>
        <source>it has left the picture</source>
        <translation>es hat das Bild verlassen</translation>
    </message>
    <message>
        <source>the source has changed</source>
        <translation>die Quelle hat sich geändert</translation>
    </message>
    <message>
        <source>Off the plan</source>
        <translation>Neben dem Plan</translation>
    </message>
    <message>
        <source>Target lost</source>
        <translation>Ziel verloren</translation>
    </message>
    <message>
        <source>Sounds need the package miniaudio; install Puncta with the extra 'sounds'.</source>
        <translation>Töne brauchen das Paket miniaudio; installieren Sie Puncta mit dem Zusatz 'sounds'.</translation>
    </message>
    <message>
        <source>No sound device was found. The sounds stay off.</source>
        <translation>Kein Tongerät wurde gefunden. Die Töne bleiben aus.</translation>
    </message>
    <message>
        <source>Free practice</source>
        <translation>Freies Üben</translation>
    </message>
    <message>
        <source>Click what the tip is to reach.</source>
        <translation>Klicken Sie, was die Spitze erreichen soll.</translation>
    </message>
    <message>
        <source>site</source>
        <translation>Ort</translation>
    </message>
    <message>
        <source>Click the place beside the nerve, not the nerve itself.</source>
        <translation>Klicken Sie die Stelle neben dem Nerv, nicht den Nerv selbst.</translation>
    </message>
    <message>
        <source>vessel</source>
        <translation>Gefäß</translation>
    </message>
    <message>
        <source>Click the middle of the vessel.</source>
        <translation>Klicken Sie die Mitte des Gefäßes.</translation>
    </message>
    <message>
        <source>lesion</source>
        <translation>Herd</translation>
    </message>
    <message>
        <source>Click the middle of the lesion.</source>
        <translation>Klicken Sie die Mitte des Herdes.</translation>
    </message>
    <message>
        <source>Infant lumbar puncture</source>
        <translation>Lumbalpunktion beim Säugling</translation>
    </message>
    <message>
        <source>space</source>
        <translation>Raum</translation>
    </message>
    <message>
        <source>Click the fluid beside the cord, below its end.</source>
        <translation>Klicken Sie den Liquor unterhalb des Rückenmarkendes.</translation>
    </message>
    <message>
        <source>throw</source>
        <translation>Schuss</translation>
    </message>
    <message>
        <source>Show the needle: draw along it, or a box with Shift</source>
        <translation>Die Nadel zeigen: entlang zeichnen, mit Umschalt ein Rechteck</translation>
    </message>
    <message>
        <source>Take back what was drawn on this frame</source>
        <translation>Auf diesem Bild Gezeichnetes zurücknehmen</translation>
    </message>
    <message>
        <source>No plugin that runs takes a needle from you. Switch on Breast biopsy.</source>
        <translation>Kein laufendes Plugin nimmt eine gezeigte Nadel an. Schalten Sie Brustbiopsie ein.</translation>
    </message>
    <message>
        <source>Draw along the needle, or with Shift a box round it. Esc ends.</source>
        <translation>Zeichnen Sie an der Nadel entlang, mit Umschalt ein Rechteck um sie. Esc beendet.</translation>
    </message>
    <message>
        <source>The needle is tracked from here on.</source>
        <translation>Die Nadel wird ab hier verfolgt.</translation>
    </message>
    <message>
        <source>What was drawn on this frame no longer holds.</source>
        <translation>Auf diesem Bild Gezeichnetes gilt nicht mehr.</translation>
    </message>
    <message>
        <source>Needle in the picture</source>
        <translation>Nadel im Bild</translation>
    </message>
    <message>
        <source>Needle bends by</source>
        <translation>Nadel biegt sich um</translation>
    </message>
    <message>
        <source>No needle in sight</source>
        <translation>Keine Nadel in Sicht</translation>
    </message>
    <message>
        <source>2.5 × weight + 6, newborns, this one is heavier</source>
        <translation>2,5 × Gewicht + 6, Neugeborene, dieses ist schwerer</translation>
    </message>
    <message>
        <source>2.5 × weight + 6, newborns, ± not stated</source>
        <translation>2,5 × Gewicht + 6, Neugeborene, ± nicht genannt</translation>
    </message>
    <message>
        <source>A number from {least} to {most}</source>
        <translation>Eine Zahl von {least} bis {most}</translation>
    </message>
    <message>
        <source>CSF</source>
        <translation>Liquor</translation>
    </message>
    <message>
        <source>CSF depth</source>
        <translation>Tiefe des Liquors</translation>
    </message>
    <message>
        <source>CSF is not sure</source>
        <translation>Liquor ist nicht sicher</translation>
    </message>
    <message>
        <source>CSF yes, cord no</source>
        <translation>Liquor ja, Rückenmark nein</translation>
    </message>
    <message>
        <source>Cord</source>
        <translation>Rückenmark</translation>
    </message>
    <message>
        <source>Expected needle depth</source>
        <translation>Erwartete Nadeltiefe</translation>
    </message>
    <message>
        <source>No advice: {why}</source>
        <translation>Kein Hinweis: {why}</translation>
    </message>
    <message>
        <source>No target interspace: {why}</source>
        <translation>Kein Zielzwischenraum: {why}</translation>
    </message>
    <message>
        <source>Quality</source>
        <translation>Qualität</translation>
    </message>
    <message>
        <source>Target interspace</source>
        <translation>Zielzwischenraum</translation>
    </message>
    <message>
        <source>Training feedback</source>
        <translation>Rückmeldung zum Üben</translation>
    </message>
    <message>
        <source>Weight</source>
        <translation>Gewicht</translation>
    </message>
    <message>
        <source>confidence {share}</source>
        <translation>Sicherheit {share}</translation>
    </message>
    <message>
        <source>cord in view</source>
        <translation>Rückenmark im Bild</translation>
    </message>
    <message>
        <source>heat map: CSF</source>
        <translation>Wärmebild: Liquor</translation>
    </message>
    <message>
        <source>heat map: CSF, nothing speaks for it</source>
        <translation>Wärmebild: Liquor, nichts spricht dafür</translation>
    </message>
    <message>
        <source>heat map: Cord</source>
        <translation>Wärmebild: Rückenmark</translation>
    </message>
    <message>
        <source>heat map: Cord, nothing speaks for it</source>
        <translation>Wärmebild: Rückenmark, nichts spricht dafür</translation>
    </message>
    <message>
        <source>heat map: Quality</source>
        <translation>Wärmebild: Qualität</translation>
    </message>
    <message>
        <source>heat map: Quality, nothing speaks for it</source>
        <translation>Wärmebild: Qualität, nichts spricht dafür</translation>
    </message>
    <message>
        <source>middle of its evidence, from the top edge</source>
        <translation>Mitte der Hinweise, von der Oberkante</translation>
    </message>
    <message>
        <source>no CSF seen</source>
        <translation>kein Liquor zu sehen</translation>
    </message>
    <message>
        <source>not entered</source>
        <translation>nicht eingegeben</translation>
    </message>
    <message>
        <source>not seen yet</source>
        <translation>noch nicht gesehen</translation>
    </message>
    <message>
        <source>not sure enough to say yes or no</source>
        <translation>nicht sicher genug für ja oder nein</translation>
    </message>
    <message>
        <source>of a moment ago</source>
        <translation>von eben</translation>
    </message>
    <message>
        <source>target interspace</source>
        <translation>Zielzwischenraum</translation>
    </message>
    <message>
        <source>target interspace, CSF yes, cord no</source>
        <translation>Zielzwischenraum, Liquor ja, Rückenmark nein</translation>
    </message>
    <message>
        <source>the picture has no millimetres to compare it with</source>
        <translation>das Bild hat keine Millimeter zum Vergleich</translation>
    </message>
    <message>
        <source>the picture is not good enough</source>
        <translation>das Bild ist nicht gut genug</translation>
    </message>
    <message>
        <source>unlike the infant spines it learnt from</source>
        <translation>anders als die Säuglingsrücken, aus denen gelernt wurde</translation>
    </message>
    <message>
        <source>the picture does not look like ultrasound</source>
        <translation>das Bild sieht nicht nach Ultraschall aus</translation>
    </message>
    <message>
        <source>Captured picture; drag to draw the ultrasound region</source>
        <translation>Aufgenommenes Bild; ziehen Sie, um den Ultraschallbereich zu zeichnen</translation>
    </message>
    <message>
        <source>Is this the ultrasound picture, without names and marks? Drag to draw another box.</source>
        <translation>Ist das das Ultraschallbild, ohne Namen und Marken? Ziehen Sie, um einen anderen Kasten zu zeichnen.</translation>
    </message>
    <message>
        <source>Look at it</source>
        <translation>Ansehen</translation>
    </message>
    <message>
        <source>Millimetres are not known until you lay a ruler on the marks of the machine.</source>
        <translation>Millimeter sind unbekannt, bis Sie ein Lineal an die Marken des Geräts legen.</translation>
    </message>
    <message>
        <source>The machine's depth or layout has changed. Lengths are shown in pixels until you confirm it.</source>
        <translation>Tiefe oder Aufteilung des Geräts hat sich geändert. Längen stehen in Pixeln, bis Sie sie bestätigen.</translation>
    </message>
    <message>
        <source>The region confirmed before is used. Check it; millimetres need a ruler again.</source>
        <translation>Der früher bestätigte Bereich gilt. Prüfen Sie ihn; Millimeter brauchen wieder ein Lineal.</translation>
    </message>
    <message>
        <source>The ultrasound picture cannot be told from the screen with certainty. Please draw it: drag a box.</source>
        <translation>Das Ultraschallbild ist auf diesem Schirm nicht sicher zu erkennen. Bitte zeichnen Sie es: Ziehen Sie einen Kasten.</translation>
    </message>
    <message>
        <source>The ultrasound picture is not clear on this screen. Please draw it.</source>
        <translation>Das Ultraschallbild ist auf diesem Schirm nicht deutlich. Bitte zeichnen Sie es.</translation>
    </message>
    <message>
        <source>The ultrasound picture was found. Confirm it, so that models see it alone.</source>
        <translation>Das Ultraschallbild wurde gefunden. Bestätigen Sie es, damit Modelle nur dieses sehen.</translation>
    </message>
    <message>
        <source>Ultrasound region</source>
        <translation>Ultraschallbereich</translation>
    </message>
    <message>
        <source>Use this region</source>
        <translation>Diesen Bereich nehmen</translation>
    </message>
    <message>
        <source>Accept</source>
        <translation>Annehmen</translation>
    </message>
    <message>
        <source>Accept what is proposed in the range</source>
        <translation>Vorschläge im Bereich annehmen</translation>
    </message>
    <message>
        <source>Accept what is proposed on this frame</source>
        <translation>Vorschlag auf diesem Bild annehmen</translation>
    </message>
    <message>
        <source>Against frame {index}</source>
        <translation>Gegen Bild {index}</translation>
    </message>
    <message>
        <source>Annotate</source>
        <translation>Beschriften</translation>
    </message>
    <message>
        <source>Back</source>
        <translation>Zurück</translation>
    </message>
    <message>
        <source>Begin</source>
        <translation>Beginnen</translation>
    </message>
    <message>
        <source>Brighten the view</source>
        <translation>Ansicht aufhellen</translation>
    </message>
    <message>
        <source>Brush {width}</source>
        <translation>Pinsel {width}</translation>
    </message>
    <message>
        <source>Confirmed by {rater}</source>
        <translation>Bestätigt von {rater}</translation>
    </message>
    <message>
        <source>Confirmed by {rater}, proposed between key frames</source>
        <translation>Bestätigt von {rater}, vorgeschlagen zwischen Schlüsselbildern</translation>
    </message>
    <message>
        <source>Darken the view</source>
        <translation>Ansicht abdunkeln</translation>
    </message>
    <message>
        <source>Drag to fix</source>
        <translation>Ziehen berichtigt</translation>
    </message>
    <message>
        <source>Erase on this frame</source>
        <translation>Auf diesem Bild löschen</translation>
    </message>
    <message>
        <source>Every label keeps who made it. Initials or a code will do; the name is asked once and remembered.</source>
        <translation>Jede Beschriftung merkt sich, von wem sie stammt. Kürzel oder Code genügen; der Name wird einmal gefragt und behalten.</translation>
    </message>
    <message>
        <source>Everything saved</source>
        <translation>Alles gespeichert</translation>
    </message>
    <message>
        <source>Forward</source>
        <translation>Vorwärts</translation>
    </message>
    <message>
        <source>Gain of the view {gain}</source>
        <translation>Verstärkung der Ansicht {gain}</translation>
    </message>
    <message>
        <source>History</source>
        <translation>Verlauf</translation>
    </message>
    <message>
        <source>Hold while playing</source>
        <translation>Beim Abspielen halten</translation>
    </message>
    <message>
        <source>Label set</source>
        <translation>Beschriftungssatz</translation>
    </message>
    <message>
        <source>Labels</source>
        <translation>Beschriftungen</translation>
    </message>
    <message>
        <source>Labels over time</source>
        <translation>Beschriftungen über die Zeit</translation>
    </message>
    <message>
        <source>Length</source>
        <translation>Länge</translation>
    </message>
    <message>
        <source>Magnifier</source>
        <translation>Lupe</translation>
    </message>
    <message>
        <source>Magnifier off.</source>
        <translation>Lupe aus.</translation>
    </message>
    <message>
        <source>Magnifier on or off</source>
        <translation>Lupe an oder aus</translation>
    </message>
    <message>
        <source>Magnifier on.</source>
        <translation>Lupe an.</translation>
    </message>
    <message>
        <source>Models are loading</source>
        <translation>Modelle werden geladen</translation>
    </message>
    <message>
        <source>Narrower brush or needle</source>
        <translation>Schmalerer Pinsel, schmalere Nadel</translation>
    </message>
    <message>
        <source>Needle {width}</source>
        <translation>Nadel {width}</translation>
    </message>
    <message>
        <source>Line in hand</source>
        <translation>Linie in der Hand</translation>
    </message>
    <message>
        <source>Needles snap to the bright line.</source>
        <translation>Nadeln rasten an der hellen Linie ein.</translation>
    </message>
    <message>
        <source>Needles stay where they are drawn.</source>
        <translation>Nadeln bleiben, wo sie gezeichnet sind.</translation>
    </message>
    <message>
        <source>Next doubtful frame</source>
        <translation>Nächstes zweifelhaftes Bild</translation>
    </message>
    <message>
        <source>Next labelled frame</source>
        <translation>Nächstes beschriftetes Bild</translation>
    </message>
    <message>
        <source>Not saved</source>
        <translation>Nicht gespeichert</translation>
    </message>
    <message>
        <source>Not visible</source>
        <translation>Nicht sichtbar</translation>
    </message>
    <message>
        <source>Not visible, while held</source>
        <translation>Nicht sichtbar, solange gehalten</translation>
    </message>
    <message>
        <source>Note on this frame</source>
        <translation>Notiz zu diesem Bild</translation>
    </message>
    <message>
        <source>Notes</source>
        <translation>Notizen</translation>
    </message>
    <message>
        <source>Nothing is labelled on this frame.</source>
        <translation>Auf diesem Bild ist nichts beschriftet.</translation>
    </message>
    <message>
        <source>Nothing is proposed in this range.</source>
        <translation>In diesem Bereich ist nichts vorgeschlagen.</translation>
    </message>
    <message>
        <source>Nothing is proposed on this frame.</source>
        <translation>Auf diesem Bild ist nichts vorgeschlagen.</translation>
    </message>
    <message>
        <source>Nothing of the mask is left. Say that it is not visible, or take it back.</source>
        <translation>Von der Maske ist nichts übrig. Geben Sie an, dass nichts sichtbar ist, oder nehmen Sie es zurück.</translation>
    </message>
    <message>
        <source>Nothing waits for a look.</source>
        <translation>Nichts wartet auf einen Blick.</translation>
    </message>
    <message>
        <source>Open. Nothing is labelled on this frame.</source>
        <translation>Offen. Auf diesem Bild ist nichts beschriftet.</translation>
    </message>
    <message>
        <source>Phase</source>
        <translation>Phase</translation>
    </message>
    <message>
        <source>Phase from here on</source>
        <translation>Phase ab hier</translation>
    </message>
    <message>
        <source>Place</source>
        <translation>Ort</translation>
    </message>
    <message>
        <source>Previous labelled frame</source>
        <translation>Voriges beschriftetes Bild</translation>
    </message>
    <message>
        <source>Progress of the proposals</source>
        <translation>Fortschritt der Vorschläge</translation>
    </message>
    <message>
        <source>Propagate</source>
        <translation>Fortführen</translation>
    </message>
    <message>
        <source>Propagate back over the range</source>
        <translation>Rückwärts über den Bereich fortführen</translation>
    </message>
    <message>
        <source>Propagate forward over the range</source>
        <translation>Vorwärts über den Bereich fortführen</translation>
    </message>
    <message>
        <source>Proposed between key frames: {base}</source>
        <translation>Vorgeschlagen zwischen Schlüsselbildern: {base}</translation>
    </message>
    <message>
        <source>Proposed by {model} from {base}</source>
        <translation>Vorgeschlagen von {model} ab {base}</translation>
    </message>
    <message>
        <source>Protocol sheet</source>
        <translation>Protokollblatt</translation>
    </message>
    <message>
        <source>Rater</source>
        <translation>Beurteilende Person</translation>
    </message>
    <message>
        <source>Rater {name}</source>
        <translation>Beurteilt von {name}</translation>
    </message>
    <message>
        <source>Redo on this frame</source>
        <translation>Auf diesem Bild wiederherstellen</translation>
    </message>
    <message>
        <source>Reject</source>
        <translation>Ablehnen</translation>
    </message>
    <message>
        <source>Reject what is proposed in the range</source>
        <translation>Vorschläge im Bereich ablehnen</translation>
    </message>
    <message>
        <source>Reject what is proposed on this frame</source>
        <translation>Vorschlag auf diesem Bild ablehnen</translation>
    </message>
    <message>
        <source>Rejected. The frame is open.</source>
        <translation>Abgelehnt. Das Bild ist offen.</translation>
    </message>
    <message>
        <source>Saving</source>
        <translation>Wird gespeichert</translation>
    </message>
    <message>
        <source>Show or hide the frame before</source>
        <translation>Voriges Bild zeigen oder verbergen</translation>
    </message>
    <message>
        <source>Snap needles to the bright line, or not</source>
        <translation>Nadeln an der hellen Linie einrasten oder nicht</translation>
    </message>
    <message>
        <source>State</source>
        <translation>Stand</translation>
    </message>
    <message>
        <source>Stop proposing</source>
        <translation>Vorschlagen beenden</translation>
    </message>
    <message>
        <source>The frame before is hidden.</source>
        <translation>Das vorige Bild ist verborgen.</translation>
    </message>
    <message>
        <source>The frame before shows dotted.</source>
        <translation>Das vorige Bild zeigt sich gepunktet.</translation>
    </message>
    <message>
        <source>The labels of this clip are being opened.</source>
        <translation>Die Beschriftungen dieses Clips werden geöffnet.</translation>
    </message>
    <message>
        <source>The next phase begins here</source>
        <translation>Die nächste Phase beginnt hier</translation>
    </message>
    <message>
        <source>The range ends here. Mark another one, or go to its other end.</source>
        <translation>Der Bereich endet hier. Markieren Sie einen anderen oder gehen Sie an sein anderes Ende.</translation>
    </message>
    <message>
        <source>The thing in hand cannot be pointed at on this frame.</source>
        <translation>Das gewählte Ding lässt sich auf diesem Bild nicht zeigen.</translation>
    </message>
    <message>
        <source>There is no labelled frame in this direction.</source>
        <translation>In dieser Richtung gibt es kein beschriftetes Bild.</translation>
    </message>
    <message>
        <source>This label set has no phases.</source>
        <translation>Dieser Beschriftungssatz hat keine Phasen.</translation>
    </message>
    <message>
        <source>To review, most doubtful first</source>
        <translation>Zu prüfen, Zweifelhaftes zuerst</translation>
    </message>
    <message>
        <source>Undo on this frame</source>
        <translation>Auf diesem Bild zurücknehmen</translation>
    </message>
    <message>
        <source>Who is labelling?</source>
        <translation>Wer beschriftet?</translation>
    </message>
    <message>
        <source>Wider brush or needle</source>
        <translation>Breiterer Pinsel, breitere Nadel</translation>
    </message>
    <message>
        <source>Write a note on this frame</source>
        <translation>Notiz zu diesem Bild schreiben</translation>
    </message>
    <message>
        <source>accept</source>
        <translation>annehmen</translation>
    </message>
    <message>
        <source>and {count} more</source>
        <translation>und {count} weitere</translation>
    </message>
    <message>
        <source>back</source>
        <translation>zurück</translation>
    </message>
    <message>
        <source>forward</source>
        <translation>vorwärts</translation>
    </message>
    <message>
        <source>frame {index}</source>
        <translation>Bild {index}</translation>
    </message>
    <message>
        <source>labelled frame</source>
        <translation>beschriftetes Bild</translation>
    </message>
    <message>
        <source>next in queue</source>
        <translation>nächstes der Liste</translation>
    </message>
    <message>
        <source>not assessed</source>
        <translation>nicht beurteilt</translation>
    </message>
    <message>
        <source>now</source>
        <translation>jetzt</translation>
    </message>
    <message>
        <source>range</source>
        <translation>Bereich</translation>
    </message>
    <message>
        <source>reject</source>
        <translation>ablehnen</translation>
    </message>
    <message>
        <source>the clip itself</source>
        <translation>dem Clip selbst</translation>
    </message>
    <message>
        <source>undo</source>
        <translation>zurück</translation>
    </message>
    <message>
        <source>wider</source>
        <translation>breiter</translation>
    </message>
    <message>
        <source>{count} of {total} labelled frames settled</source>
        <translation>{count} von {total} beschrifteten Bildern entschieden</translation>
    </message>
    <message>
        <source>proposal rejected</source>
        <translation>Vorschlag abgelehnt</translation>
    </message>
    <message>
        <source>Judged by one reader alone, and open: {frames}.</source>
        <translation>Nur von einer Person beurteilt und offen: {frames}.</translation>
    </message>
    <message>
        <source>No folder can be made in {folder}; name another place.</source>
        <translation>In {folder} lässt sich kein Ordner anlegen; nennen Sie einen anderen Ort.</translation>
    </message>
    <message>
        <source>{count} of {frames} frames confirmed</source>
        <translation>{count} von {frames} Bildern bestätigt</translation>
    </message>
    <message>
        <source>{done} of {total} frames</source>
        <translation>{done} von {total} Bildern</translation>
    </message>
    <message>
        <source>{first} to {last}</source>
        <translation>{first} bis {last}</translation>
    </message>
    <message>
        <source>Proposed</source>
        <translation>Vorgeschlagen</translation>
    </message>
    <message>
        <source>Confirmed</source>
        <translation>Bestätigt</translation>
    </message>
    <message>
        <source>Confirmed in a range</source>
        <translation>Im Bereich bestätigt</translation>
    </message>
    <message>
        <source>Rejected</source>
        <translation>Abgelehnt</translation>
    </message>
    <message>
        <source>clear</source>
        <translation>klar</translation>
    </message>
    <message>
        <source>uncertain</source>
        <translation>unsicher</translation>
    </message>
    <message>
        <source>not visible</source>
        <translation>nicht sichtbar</translation>
    </message>
    <message>
        <source>out of the plane</source>
        <translation>außerhalb der Ebene</translation>
    </message>
    <message>
        <source>in a shadow</source>
        <translation>im Schatten</translation>
    </message>
    <message>
        <source>click</source>
        <translation>Klick</translation>
    </message>
    <message>
        <source>polygon</source>
        <translation>Vieleck</translation>
    </message>
    <message>
        <source>brush</source>
        <translation>Pinsel</translation>
    </message>
    <message>
        <source>box</source>
        <translation>Kasten</translation>
    </message>
    <message>
        <source>line</source>
        <translation>Linie</translation>
    </message>
    <message>
        <source>Between key frames</source>
        <translation>Zwischen Schlüsselbildern</translation>
    </message>
    <message>
        <source>Proposals taken away</source>
        <translation>Vorschläge weggenommen</translation>
    </message>
    <message>
        <source>Accept range</source>
        <translation>Bereich annehmen</translation>
    </message>
    <message>
        <source>Erase</source>
        <translation>Löschen</translation>
    </message>
    <message>
        <source>Flag range</source>
        <translation>Bereich eines Merkmals</translation>
    </message>
    <message>
        <source>Needle width</source>
        <translation>Nadelbreite</translation>
    </message>
    <message>
        <source>Needle, tip and target</source>
        <translation>Nadel, Spitze und Ziel</translation>
    </message>
    <message>
        <source>Note</source>
        <translation>Notiz</translation>
    </message>
    <message>
        <source>Undo</source>
        <translation>Zurücknehmen</translation>
    </message>
    <message>
        <source>Redo</source>
        <translation>Wiederherstellen</translation>
    </message>
    <message>
        <source>Undone</source>
        <translation>Zurückgenommen</translation>
    </message>
    <message>
        <source>Redone</source>
        <translation>Wiederhergestellt</translation>
    </message>
    <message>
        <source>Class or flag 1; a flag while held</source>
        <translation>Klasse oder Merkmal 1; ein Merkmal, solange gehalten</translation>
    </message>
    <message>
        <source>Flag 1 says no, while held</source>
        <translation>Merkmal 1 verneint, solange gehalten</translation>
    </message>
    <message>
        <source>Class or flag 2; a flag while held</source>
        <translation>Klasse oder Merkmal 2; ein Merkmal, solange gehalten</translation>
    </message>
    <message>
        <source>Flag 2 says no, while held</source>
        <translation>Merkmal 2 verneint, solange gehalten</translation>
    </message>
    <message>
        <source>Class or flag 3; a flag while held</source>
        <translation>Klasse oder Merkmal 3; ein Merkmal, solange gehalten</translation>
    </message>
    <message>
        <source>Flag 3 says no, while held</source>
        <translation>Merkmal 3 verneint, solange gehalten</translation>
    </message>
    <message>
        <source>Class or flag 4; a flag while held</source>
        <translation>Klasse oder Merkmal 4; ein Merkmal, solange gehalten</translation>
    </message>
    <message>
        <source>Flag 4 says no, while held</source>
        <translation>Merkmal 4 verneint, solange gehalten</translation>
    </message>
    <message>
        <source>Class or flag 5; a flag while held</source>
        <translation>Klasse oder Merkmal 5; ein Merkmal, solange gehalten</translation>
    </message>
    <message>
        <source>Flag 5 says no, while held</source>
        <translation>Merkmal 5 verneint, solange gehalten</translation>
    </message>
    <message>
        <source>Class or flag 6; a flag while held</source>
        <translation>Klasse oder Merkmal 6; ein Merkmal, solange gehalten</translation>
    </message>
    <message>
        <source>Flag 6 says no, while held</source>
        <translation>Merkmal 6 verneint, solange gehalten</translation>
    </message>
    <message>
        <source>Class or flag 7; a flag while held</source>
        <translation>Klasse oder Merkmal 7; ein Merkmal, solange gehalten</translation>
    </message>
    <message>
        <source>Flag 7 says no, while held</source>
        <translation>Merkmal 7 verneint, solange gehalten</translation>
    </message>
    <message>
        <source>Class or flag 8; a flag while held</source>
        <translation>Klasse oder Merkmal 8; ein Merkmal, solange gehalten</translation>
    </message>
    <message>
        <source>Flag 8 says no, while held</source>
        <translation>Merkmal 8 verneint, solange gehalten</translation>
    </message>
    <message>
        <source>Class or flag 9; a flag while held</source>
        <translation>Klasse oder Merkmal 9; ein Merkmal, solange gehalten</translation>
    </message>
    <message>
        <source>Flag 9 says no, while held</source>
        <translation>Merkmal 9 verneint, solange gehalten</translation>
    </message>
    <message>
        <source>Analysis to show beside</source>
        <translation>Auswertung, die daneben gezeigt wird</translation>
    </message>
    <message>
        <source>Captured picture with the depth marks that were read</source>
        <translation>Aufgenommenes Bild mit den gelesenen Tiefenmarken</translation>
    </message>
    <message>
        <source>Choose</source>
        <translation>Wählen</translation>
    </message>
    <message>
        <source>Compare analyses</source>
        <translation>Auswertungen vergleichen</translation>
    </message>
    <message>
        <source>Compare with another analysis of this session</source>
        <translation>Mit einer anderen Auswertung dieser Sitzung vergleichen</translation>
    </message>
    <message>
        <source>DICOM cine, labelled as training, without loss</source>
        <translation>DICOM-Film, als Training gekennzeichnet, verlustfrei</translation>
    </message>
    <message>
        <source>Depth scale</source>
        <translation>Tiefenmaßstab</translation>
    </message>
    <message>
        <source>Differences from the recorded analysis</source>
        <translation>Unterschiede zur aufgezeichneten Auswertung</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>Ausgeben</translation>
    </message>
    <message>
        <source>Export this case</source>
        <translation>Diesen Fall ausgeben</translation>
    </message>
    <message>
        <source>Export this case: films, DICOM, pictures, table</source>
        <translation>Diesen Fall ausgeben: Filme, DICOM, Bilder, Tabelle</translation>
    </message>
    <message>
        <source>Exported {count} frames to {folder}</source>
        <translation>{count} Bilder nach {folder} ausgegeben</translation>
    </message>
    <message>
        <source>Film with the overlay burned in (MP4)</source>
        <translation>Film mit eingezeichneten Befunden (MP4)</translation>
    </message>
    <message>
        <source>Film without the overlay (MP4)</source>
        <translation>Film ohne Befunde (MP4)</translation>
    </message>
    <message>
        <source>Findings</source>
        <translation>Befunde</translation>
    </message>
    <message>
        <source>Folder</source>
        <translation>Ordner</translation>
    </message>
    <message>
        <source>Is the pink bar 10 mm long by the marks of the machine? The scale is then {scale} mm/px.</source>
        <translation>Ist der rosa Balken nach den Marken des Geräts 10 mm lang? Dann ist der Maßstab {scale} mm/px.</translation>
    </message>
    <message>
        <source>It rests on: {words}. The same scale is used along both axes.</source>
        <translation>Er beruht auf: {words}. Derselbe Maßstab gilt für beide Achsen.</translation>
    </message>
    <message>
        <source>Lay a ruler on the marks of the machine to know millimetres.</source>
        <translation>Legen Sie ein Lineal an die Marken des Geräts, um Millimeter zu erhalten.</translation>
    </message>
    <message>
        <source>No analysis lies with this case. Record a session with plugins on.</source>
        <translation>Bei diesem Fall liegt keine Auswertung. Zeichnen Sie eine Sitzung mit eingeschalteten Plugins auf.</translation>
    </message>
    <message>
        <source>No depth scale can be read for certain on this screen. Lay a ruler to know millimetres.</source>
        <translation>Auf diesem Bildschirm lässt sich kein Tiefenmaßstab sicher lesen. Legen Sie ein Lineal an, um Millimeter zu erhalten.</translation>
    </message>
    <message>
        <source>No, use a ruler</source>
        <translation>Nein, Lineal benutzen</translation>
    </message>
    <message>
        <source>None</source>
        <translation>Keine</translation>
    </message>
    <message>
        <source>Nothing was found with this case; record it with plugins on.</source>
        <translation>Zu diesem Fall gibt es keine Befunde; zeichnen Sie ihn mit eingeschalteten Plugins auf.</translation>
    </message>
    <message>
        <source>Only a recorded case can be exported. Record first, then open the session.</source>
        <translation>Nur ein aufgezeichneter Fall kann ausgegeben werden. Zeichnen Sie zuerst auf und öffnen Sie dann die Sitzung.</translation>
    </message>
    <message>
        <source>Progress</source>
        <translation>Fortschritt</translation>
    </message>
    <message>
        <source>Single pictures without loss (PNG)</source>
        <translation>Einzelne Bilder, verlustfrei (PNG)</translation>
    </message>
    <message>
        <source>Table of what was found (CSV)</source>
        <translation>Tabelle der Befunde (CSV)</translation>
    </message>
    <message>
        <source>Take the ruler</source>
        <translation>Lineal nehmen</translation>
    </message>
    <message>
        <source>The depth marks of the machine say {scale} mm/px. Confirm it to see millimetres.</source>
        <translation>Die Tiefenmarken des Geräts ergeben {scale} mm/px. Bestätigen Sie das, um Millimeter zu sehen.</translation>
    </message>
    <message>
        <source>The recording stays as it is. Every file says that it is for simulation and training only.</source>
        <translation>Die Aufzeichnung bleibt, wie sie ist. In jeder Datei steht, dass sie nur für Simulation und Training ist.</translation>
    </message>
    <message>
        <source>This folder is full of exports of this case. Choose another one.</source>
        <translation>Dieser Ordner ist voll mit Ausgaben dieses Falls. Wählen Sie einen anderen.</translation>
    </message>
    <message>
        <source>This folder is not there. Choose another one.</source>
        <translation>Diesen Ordner gibt es nicht. Wählen Sie einen anderen.</translation>
    </message>
    <message>
        <source>This layout was measured before: {scale} mm/px. Confirm it to see millimetres.</source>
        <translation>Dieser Bildaufbau wurde schon gemessen: {scale} mm/px. Bestätigen Sie das, um Millimeter zu sehen.</translation>
    </message>
    <message>
        <source>Tips apart</source>
        <translation>Abstand der Spitzen</translation>
    </message>
    <message>
        <source>Use this scale</source>
        <translation>Diesen Maßstab benutzen</translation>
    </message>
    <message>
        <source>What this analysis found is drawn dotted and green, beside what the plugins find now.</source>
        <translation>Was diese Auswertung fand, ist gepunktet und grün neben dem gezeichnet, was die Plugins jetzt finden.</translation>
    </message>
    <message>
        <source>depth ticks</source>
        <translation>Tiefenmarken</translation>
    </message>
    <message>
        <source>now and the other analysis</source>
        <translation>jetzt und die andere Auswertung</translation>
    </message>
    <message>
        <source>one found none</source>
        <translation>eine fand keine</translation>
    </message>
    <message>
        <source>recorded with the session</source>
        <translation>mit der Sitzung aufgezeichnet</translation>
    </message>
    <message>
        <source>Out of the plane, while held</source>
        <translation>Außerhalb der Ebene, solange gehalten</translation>
    </message>
    <message>
        <source>Worklist</source>
        <translation>Arbeitsliste</translation>
    </message>
    <message>
        <source>Skip</source>
        <translation>Überspringen</translation>
    </message>
    <message>
        <source>Question</source>
        <translation>Frage</translation>
    </message>
    <message>
        <source>Keep</source>
        <translation>Behalten</translation>
    </message>
    <message>
        <source>Clip {place} of {total}, {state}</source>
        <translation>Clip {place} von {total}, {state}</translation>
    </message>
    <message>
        <source>to do</source>
        <translation>zu tun</translation>
    </message>
    <message>
        <source>skipped</source>
        <translation>übersprungen</translation>
    </message>
    <message>
        <source>has a question</source>
        <translation>hat eine Frage</translation>
    </message>
    <message>
        <source>Blind reading: labels of others are hidden.</source>
        <translation>Blinde Beurteilung: Beschriftungen anderer sind verborgen.</translation>
    </message>
    <message>
        <source>Models propose nothing here.</source>
        <translation>Modelle schlagen hier nichts vor.</translation>
    </message>
    <message>
        <source>There is no other clip on the list.</source>
        <translation>Auf der Liste gibt es keinen anderen Clip.</translation>
    </message>
    <message>
        <source>Why is it skipped?</source>
        <translation>Warum wird übersprungen?</translation>
    </message>
    <message>
        <source>What is the question?</source>
        <translation>Was ist die Frage?</translation>
    </message>
    <message>
        <source>You read this case blind; what plugins find on it is hidden until you are done.</source>
        <translation>Sie beurteilen diesen Fall blind; was Plugins darauf finden, bleibt verborgen, bis Sie fertig sind.</translation>
    </message>
    <message>
        <source>Hidden</source>
        <translation>Verborgen</translation>
    </message>
    <message>
        <source>This is a blind reading; models propose nothing here.</source>
        <translation>Dies ist eine blinde Beurteilung; Modelle schlagen hier nichts vor.</translation>
    </message>
    <message>
        <source>Next clip of the worklist</source>
        <translation>Nächster Clip der Arbeitsliste</translation>
    </message>
    <message>
        <source>Previous clip of the worklist</source>
        <translation>Voriger Clip der Arbeitsliste</translation>
    </message>
    <message>
        <source>This clip is done</source>
        <translation>Dieser Clip ist erledigt</translation>
    </message>
    <message>
        <source>Begin an empty store</source>
        <translation>Einen leeren Speicher beginnen</translation>
    </message>
    <message>
        <source>A phase is never absent: take one of the two.</source>
        <translation>Eine Phase fehlt nie: Nehmen Sie eine der beiden.</translation>
    </message>
    <message>
        <source>Adjudication needs two readings; this case has confirmed labels of {raters}.</source>
        <translation>Zum Abgleich braucht es zwei Lesungen; dieser Fall hat bestätigte Beschriftungen von {raters}.</translation>
    </message>
    <message>
        <source>Agreement</source>
        <translation>Übereinstimmung</translation>
    </message>
    <message>
        <source>Answer</source>
        <translation>Antwort</translation>
    </message>
    <message>
        <source>Apart</source>
        <translation>Abstand</translation>
    </message>
    <message>
        <source>Area</source>
        <translation>Fläche</translation>
    </message>
    <message>
        <source>Confirmed labels go out, with the key of every frame.</source>
        <translation>Bestätigte Beschriftungen gehen hinaus, mit dem Schlüssel jedes Bildes.</translation>
    </message>
    <message>
        <source>Consensus by {name}</source>
        <translation>Konsens durch {name}</translation>
    </message>
    <message>
        <source>Consensus: {answer}.</source>
        <translation>Konsens: {answer}.</translation>
    </message>
    <message>
        <source>Differences settled</source>
        <translation>Geklärte Unterschiede</translation>
    </message>
    <message>
        <source>Differences, largest first</source>
        <translation>Unterschiede, der größte zuerst</translation>
    </message>
    <message>
        <source>Differences</source>
        <translation>Unterschiede</translation>
    </message>
    <message>
        <source>Draw it yourself</source>
        <translation>Selbst zeichnen</translation>
    </message>
    <message>
        <source>Draw it; the label is yours. {key} goes on.</source>
        <translation>Zeichnen Sie; die Beschriftung ist Ihre. {key} geht weiter.</translation>
    </message>
    <message>
        <source>Ends apart</source>
        <translation>Abstand der Enden</translation>
    </message>
    <message>
        <source>Every difference has an answer.</source>
        <translation>Jeder Unterschied hat eine Antwort.</translation>
    </message>
    <message>
        <source>Export the consensus</source>
        <translation>Konsens exportieren</translation>
    </message>
    <message>
        <source>Format</source>
        <translation>Format</translation>
    </message>
    <message>
        <source>Frames {first} to {last} keep what the key frames propose. Where models part from it, the queue says so.</source>
        <translation>Die Bilder {first} bis {last} behalten, was die Schlüsselbilder vorschlagen. Wo Modelle davon abweichen, sagt es die Liste.</translation>
    </message>
    <message>
        <source>It is absent: neither of the two</source>
        <translation>Es fehlt: keines von beiden</translation>
    </message>
    <message>
        <source>Leave</source>
        <translation>Verlassen</translation>
    </message>
    <message>
        <source>Make one of two readings</source>
        <translation>Aus zwei Lesungen eine machen</translation>
    </message>
    <message>
        <source>Make one of two readings, or leave</source>
        <translation>Aus zwei Lesungen eine machen, oder verlassen</translation>
    </message>
    <message>
        <source>New folder</source>
        <translation>Neuer Ordner</translation>
    </message>
    <message>
        <source>Nobody is labelling yet. Press “Who is labelling?” at the top right to begin.</source>
        <translation>Noch beschriftet niemand. Drücken Sie oben rechts „Wer beschriftet?“, um zu beginnen.</translation>
    </message>
    <message>
        <source>Outlines apart</source>
        <translation>Abstand der Umrisse</translation>
    </message>
    <message>
        <source>Reader {name}</source>
        <translation>Leser {name}</translation>
    </message>
    <message>
        <source>Seen or not</source>
        <translation>Gesehen oder nicht</translation>
    </message>
    <message>
        <source>Show both readings, or one alone</source>
        <translation>Beide Lesungen zeigen, oder eine allein</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>Größe</translation>
    </message>
    <message>
        <source>Take what the first reader says</source>
        <translation>Nehmen, was der erste Leser sagt</translation>
    </message>
    <message>
        <source>Take what the second reader says</source>
        <translation>Nehmen, was der zweite Leser sagt</translation>
    </message>
    <message>
        <source>The difference before</source>
        <translation>Der Unterschied davor</translation>
    </message>
    <message>
        <source>The labels cannot be written.</source>
        <translation>Die Beschriftungen lassen sich nicht schreiben.</translation>
    </message>
    <message>
        <source>The raters could see what models propose: they are not independent.</source>
        <translation>Die Leser konnten sehen, was Modelle vorschlagen: Sie sind nicht unabhängig.</translation>
    </message>
    <message>
        <source>The readings cannot be compared.</source>
        <translation>Die Lesungen lassen sich nicht vergleichen.</translation>
    </message>
    <message>
        <source>The two readings agree.</source>
        <translation>Die beiden Lesungen stimmen überein.</translation>
    </message>
    <message>
        <source>The two readings are being compared.</source>
        <translation>Die beiden Lesungen werden verglichen.</translation>
    </message>
    <message>
        <source>This has no place in the picture: take one of the two, or say that it is absent.</source>
        <translation>Das hat keinen Ort im Bild: Nehmen Sie eine der beiden Antworten, oder sagen Sie, dass es fehlt.</translation>
    </message>
    <message>
        <source>This source has no end. Record it first and label the recording.</source>
        <translation>Diese Quelle hat kein Ende. Nehmen Sie sie erst auf und beschriften Sie die Aufnahme.</translation>
    </message>
    <message>
        <source>Two readings</source>
        <translation>Zwei Lesungen</translation>
    </message>
    <message>
        <source>Two readings become one</source>
        <translation>Aus zwei Lesungen wird eine</translation>
    </message>
    <message>
        <source>Weighted kappa</source>
        <translation>Gewichtetes Kappa</translation>
    </message>
    <message>
        <source>absent</source>
        <translation>fehlt</translation>
    </message>
    <message>
        <source>always the same, n {n}</source>
        <translation>immer gleich, n {n}</translation>
    </message>
    <message>
        <source>draw my own</source>
        <translation>selbst zeichnen</translation>
    </message>
    <message>
        <source>drawn</source>
        <translation>gezeichnet</translation>
    </message>
    <message>
        <source>least</source>
        <translation>kleinster</translation>
    </message>
    <message>
        <source>models part from the key frames, {apart} mm</source>
        <translation>Modelle weichen von den Schlüsselbildern ab, {apart} mm</translation>
    </message>
    <message>
        <source>not done yet</source>
        <translation>noch nicht fertig</translation>
    </message>
    <message>
        <source>not judged</source>
        <translation>nicht beurteilt</translation>
    </message>
    <message>
        <source>one alone</source>
        <translation>eine allein</translation>
    </message>
    <message>
        <source>take the first</source>
        <translation>ersten nehmen</translation>
    </message>
    <message>
        <source>the second</source>
        <translation>den zweiten</translation>
    </message>
    <message>
        <source>{count} are confirmed and stay</source>
        <translation>{count} sind bestätigt und bleiben</translation>
    </message>
    <message>
        <source>{count} frames are proposed</source>
        <translation>{count} Bilder sind vorgeschlagen</translation>
    </message>
    <message>
        <source>1 of {total} labelled frames still waits for an answer; it stays out, also what agrees on it.</source>
        <translation>1 von {total} beschrifteten Bildern wartet noch auf eine Antwort; es bleibt hier, auch was darauf übereinstimmt.</translation>
    </message>
    <message>
        <source>{count} of {total} labelled frames still wait for an answer; they stay out, also what agrees on them.</source>
        <translation>{count} von {total} beschrifteten Bildern warten noch auf eine Antwort; sie bleiben hier, auch was darauf übereinstimmt.</translation>
    </message>
    <message>
        <source>{count} keep what the key frames propose</source>
        <translation>{count} behalten, was die Schlüsselbilder vorschlagen</translation>
    </message>
    <message>
        <source>{count} labels</source>
        <translation>{count} Beschriftungen</translation>
    </message>
    <message>
        <source>{count} labels agree and are taken over</source>
        <translation>{count} Beschriftungen stimmen überein und sind übernommen</translation>
    </message>
    <message>
        <source>{count} stay open</source>
        <translation>{count} bleiben offen</translation>
    </message>
    <message>
        <source>{frames} frames that both have judged.</source>
        <translation>{frames} Bilder, die beide beurteilt haben.</translation>
    </message>
    <message>
        <source>{labels} labels on {frames} frames are in {folder}</source>
        <translation>{labels} Beschriftungen auf {frames} Bildern liegen in {folder}</translation>
    </message>
    <message>
        <source>{rater} has not judged this. Take the other one, draw your own, or say that it is absent.</source>
        <translation>{rater} hat das nicht beurteilt. Nehmen Sie die andere Antwort, zeichnen Sie selbst, oder sagen Sie, dass es fehlt.</translation>
    </message>
    <message>
        <source>{settled} of {total} differences settled</source>
        <translation>{settled} von {total} Unterschieden geklärt</translation>
    </message>
    <message>
        <source>{words} by {rater}</source>
        <translation>{words} von {rater}</translation>
    </message>
    <message>
        <source>{rater} alone is shown.</source>
        <translation>Nur {rater} ist zu sehen.</translation>
    </message>
    <message>
        <source>Both readings are shown.</source>
        <translation>Beide Lesungen sind zu sehen.</translation>
    </message>
    <message>
        <source>Take {rater}</source>
        <translation>{rater} nehmen</translation>
    </message>
    <message>
        <source>Draw my own</source>
        <translation>Selbst zeichnen</translation>
    </message>
    <message>
        <source>Both absent</source>
        <translation>Beide fehlen</translation>
    </message>
    <message>
        <source>Dataset of Puncta, for training and evaluation</source>
        <translation>Datensatz von Puncta, zum Trainieren und Auswerten</translation>
    </message>
    <message>
        <source>COCO</source>
        <translation>COCO</translation>
    </message>
    <message>
        <source>YOLO</source>
        <translation>YOLO</translation>
    </message>
    <message>
        <source>MOT</source>
        <translation>MOT</translation>
    </message>
    <message>
        <source>Masks (PNG)</source>
        <translation>Masken (PNG)</translation>
    </message>
    <message>
        <source>Table (CSV)</source>
        <translation>Tabelle (CSV)</translation>
    </message>
    <message>
        <source>1 subject</source>
        <translation>1 Person</translation>
    </message>
    <message>
        <source>subjects not stated</source>
        <translation>Personen nicht angegeben</translation>
    </message>
    <message>
        <source>not simulated</source>
        <translation>nicht simuliert</translation>
    </message>
    <message>
        <source>every infant's spine is simulated</source>
        <translation>jede Säuglingswirbelsäule ist simuliert</translation>
    </message>
    <message>
        <source>every needle but those of the site's own frames is simulated or drawn</source>
        <translation>jede Nadel außer denen der eigenen Bilder des Standorts ist simuliert oder gezeichnet</translation>
    </message>
    <message>
        <source>every needle is simulated or drawn</source>
        <translation>jede Nadel ist simuliert oder gezeichnet</translation>
    </message>
    <message>
        <source>begun with the weights of {names}</source>
        <translation>begonnen mit den Gewichten von {names}</translation>
    </message>
    <message>
        <source>needle-free stills of nerves ({names}, half by hash) as pictures of no spine and for tones and grain</source>
        <translation>Einzelbilder von Nerven ohne Nadel ({names}, nach Prüfsumme die Hälfte) als Bilder ohne Wirbelsäule und für Töne und Korn</translation>
    </message>
    <message>
        <source>as pictures of no spine {amount} simulated ones of {names}, and made phantoms and screens</source>
        <translation>als Bilder ohne Wirbelsäule {amount} simulierte von {names}, dazu gemachte Phantome und Bildschirme</translation>
    </message>
    <message>
        <source>{amount} simulated infant spines of machines {names}, {part} frames each, with flags by the simulator's rules</source>
        <translation>{amount} simulierte Säuglingswirbelsäulen der Geräte {names} zu je {part} Bildern, mit Merkmalen nach den Regeln des Simulators</translation>
    </message>
    <message>
        <source>{amount} labelled frame of {names} ({subjects}, {kind})</source>
        <translation>{amount} beschriftetes Bild aus {names} ({subjects}, {kind})</translation>
    </message>
    <message>
        <source>{amount} labelled frame of {names} ({subjects}, machine {machines}, {kind})</source>
        <translation>{amount} beschriftetes Bild aus {names} ({subjects}, Gerät {machines}, {kind})</translation>
    </message>
    <message>
        <source>{amount} labelled frames of {names} ({subjects}, {kind})</source>
        <translation>{amount} beschriftete Bilder aus {names} ({subjects}, {kind})</translation>
    </message>
    <message>
        <source>{amount} labelled frames of {names} ({subjects}, machine {machines}, {kind})</source>
        <translation>{amount} beschriftete Bilder aus {names} ({subjects}, Gerät {machines}, {kind})</translation>
    </message>
    <message>
        <source>the split train of {names}</source>
        <translation>der Teil train von {names}</translation>
    </message>
    <message>
        <source>the datasets {names}</source>
        <translation>die Datensätze {names}</translation>
    </message>
    <message>
        <source>the datasets {names} (split train)</source>
        <translation>die Datensätze {names} (Teil train)</translation>
    </message>
    <message>
        <source>{amount} clips with needles drawn into needle-free frames of {names}</source>
        <translation>{amount} Clips mit Nadeln, die in Bilder ohne Nadel aus {names} gezeichnet sind</translation>
    </message>
    <message>
        <source>the needle-free ones of {amount} cines of such stills</source>
        <translation>die ohne Nadel unter {amount} Clips solcher Einzelbilder</translation>
    </message>
    <message>
        <source>{amount} cines of made speckle as coarse probes show it</source>
        <translation>{amount} Clips mit gemachtem Speckle, wie ihn grobe Schallköpfe zeigen</translation>
    </message>
    <message>
        <source>{amount} cines of simulated needles in such stills</source>
        <translation>{amount} Clips mit simulierten Nadeln in solchen Einzelbildern</translation>
    </message>
    <message>
        <source>{amount} cines of simulated needles in such stills ({part} of them in the second leg)</source>
        <translation>{amount} Clips mit simulierten Nadeln in solchen Einzelbildern ({part} davon im zweiten Abschnitt)</translation>
    </message>
    <message>
        <source>{amount} cines of simulated needles in needle-free stills ({names})</source>
        <translation>{amount} Clips mit simulierten Nadeln in Einzelbildern ohne Nadel ({names})</translation>
    </message>
    <message>
        <source>{amount} cines of drawn needles at rest in such stills</source>
        <translation>{amount} Clips mit ruhenden gezeichneten Nadeln in solchen Einzelbildern</translation>
    </message>
    <message>
        <source>{amount} cines of drawn needles on needle-free stills ({names})</source>
        <translation>{amount} Clips mit gezeichneten Nadeln auf Einzelbildern ohne Nadel ({names})</translation>
    </message>
    <message>
        <source>{amount} simulated cines of machines {names}</source>
        <translation>{amount} simulierte Clips der Geräte {names}</translation>
    </message>
    <message>
        <source>{amount} simulated cines of machines {names}, so that these are not forgotten</source>
        <translation>{amount} simulierte Clips der Geräte {names}, damit diese nicht vergessen werden</translation>
    </message>
    <message>
        <source>A new training</source>
        <translation>Ein neues Training</translation>
    </message>
    <message>
        <source>Adapt to this site</source>
        <translation>An diesen Standort anpassen</translation>
    </message>
    <message>
        <source>Adapted to this site, {version}</source>
        <translation>An diesen Standort angepasst, {version}</translation>
    </message>
    <message>
        <source>All figures</source>
        <translation>Alle Zahlen</translation>
    </message>
    <message>
        <source>All of them are simulated.</source>
        <translation>Alle sind simuliert.</translation>
    </message>
    <message>
        <source>All of them are simulated: measured on simulated or drawn needles, none on a patient.</source>
        <translation>Alle sind simuliert: gemessen an simulierten oder gezeichneten Nadeln, keine an Patienten.</translation>
    </message>
    <message>
        <source>Begun</source>
        <translation>Begonnen</translation>
    </message>
    <message>
        <source>Both models look at the held-out frames.</source>
        <translation>Beide Modelle sehen die zurückgehaltenen Bilder an.</translation>
    </message>
    <message>
        <source>Cancel it</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <source>Cancel the training that is shown, asked twice</source>
        <translation>Das gezeigte Training abbrechen, nach Rückfrage</translation>
    </message>
    <message>
        <source>Cancel this training? What it has learnt is not used.</source>
        <translation>Dieses Training abbrechen? Was es gelernt hat, wird nicht benutzt.</translation>
    </message>
    <message>
        <source>Choose what to learn from.</source>
        <translation>Wählen Sie, woraus gelernt wird.</translation>
    </message>
    <message>
        <source>Comparing on the held out frames</source>
        <translation>Vergleich an den zurückgehaltenen Bildern</translation>
    </message>
    <message>
        <source>Curves begin with its first measurements.</source>
        <translation>Kurven beginnen mit den ersten Messungen.</translation>
    </message>
    <message>
        <source>Dataset {name}</source>
        <translation>Datensatz {name}</translation>
    </message>
    <message>
        <source>Difference, 95 of 100 within</source>
        <translation>Unterschied, 95 von 100 innerhalb</translation>
    </message>
    <message>
        <source>Figure</source>
        <translation>Zahl</translation>
    </message>
    <message>
        <source>Figures</source>
        <translation>Zahlen</translation>
    </message>
    <message>
        <source>For</source>
        <translation>Für</translation>
    </message>
    <message>
        <source>Give the training a name.</source>
        <translation>Geben Sie dem Training einen Namen.</translation>
    </message>
    <message>
        <source>Go back to the model before</source>
        <translation>Zum Modell davor zurück</translation>
    </message>
    <message>
        <source>Go back to the one before</source>
        <translation>Zurück zum vorigen</translation>
    </message>
    <message>
        <source>Go on training</source>
        <translation>Weiter trainieren</translation>
    </message>
    <message>
        <source>Goes on from</source>
        <translation>Geht aus von</translation>
    </message>
    <message>
        <source>How</source>
        <translation>Wie</translation>
    </message>
    <message>
        <source>How it learns</source>
        <translation>Wie es lernt</translation>
    </message>
    <message>
        <source>In use</source>
        <translation>In Gebrauch</translation>
    </message>
    <message>
        <source>It learns from 1 subject and may fit that one alone. Look at the held out ones before use.</source>
        <translation>Es lernt von 1 Person und passt vielleicht nur zu dieser. Sehen Sie vor dem Gebrauch die zurückgehaltenen an.</translation>
    </message>
    <message>
        <source>It learns from {count} subjects and may fit those alone. Look at the held out ones before use.</source>
        <translation>Es lernt von {count} Personen und passt vielleicht nur zu diesen. Sehen Sie vor dem Gebrauch die zurückgehaltenen an.</translation>
    </message>
    <message>
        <source>It ran for {time}.</source>
        <translation>Es lief {time}.</translation>
    </message>
    <message>
        <source>It runs in a process of its own while you go on, and changes nothing until you put its model in use.</source>
        <translation>Es läuft in einem eigenen Prozess, während Sie weiterarbeiten, und ändert nichts, bis Sie sein Modell in Gebrauch nehmen.</translation>
    </message>
    <message>
        <source>Its card</source>
        <translation>Sein Steckbrief</translation>
    </message>
    <message>
        <source>Keep it</source>
        <translation>Behalten</translation>
    </message>
    <message>
        <source>Kept in</source>
        <translation>Liegt in</translation>
    </message>
    <message>
        <source>Labels made here, label set {name}</source>
        <translation>Hier gemachte Beschriftungen, Satz {name}</translation>
    </message>
    <message>
        <source>Learn from</source>
        <translation>Lernen aus</translation>
    </message>
    <message>
        <source>Learns from</source>
        <translation>Lernt aus</translation>
    </message>
    <message>
        <source>Learnt from</source>
        <translation>Gelernt aus</translation>
    </message>
    <message>
        <source>Learnt from simulated needles</source>
        <translation>Aus simulierten Nadeln gelernt</translation>
    </message>
    <message>
        <source>Leave the plan or the question</source>
        <translation>Plan oder Frage verlassen</translation>
    </message>
    <message>
        <source>Left of the line is worse, right of it better</source>
        <translation>Links der Linie ist schlechter, rechts davon besser</translation>
    </message>
    <message>
        <source>Licence</source>
        <translation>Lizenz</translation>
    </message>
    <message>
        <source>Looking at the labels.</source>
        <translation>Die Beschriftungen werden angesehen.</translation>
    </message>
    <message>
        <source>Loss</source>
        <translation>Verlust</translation>
    </message>
    <message>
        <source>Loss, on what it learns from</source>
        <translation>Verlust, an dem, woraus es lernt</translation>
    </message>
    <message>
        <source>Made by</source>
        <translation>Gemacht mit</translation>
    </message>
    <message>
        <source>Makes the model</source>
        <translation>Macht das Modell</translation>
    </message>
    <message>
        <source>Making the dataset</source>
        <translation>Der Datensatz entsteht</translation>
    </message>
    <message>
        <source>Measured on frames that were labelled here.</source>
        <translation>Gemessen an Bildern, die hier beschriftet wurden.</translation>
    </message>
    <message>
        <source>Model card</source>
        <translation>Steckbrief des Modells</translation>
    </message>
    <message>
        <source>Models</source>
        <translation>Modelle</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>Name</translation>
    </message>
    <message>
        <source>Name of the training</source>
        <translation>Name des Trainings</translation>
    </message>
    <message>
        <source>No figure tells the two models apart. More held-out subjects would.</source>
        <translation>Keine Zahl unterscheidet die beiden Modelle. Mehr zurückgehaltene Personen könnten es.</translation>
    </message>
    <message>
        <source>No labels for this yet. Label frames in Annotate, or put a dataset into {folder}.</source>
        <translation>Dafür gibt es noch keine Beschriftungen. Beschriften Sie Bilder in Annotieren, oder legen Sie einen Datensatz in {folder}.</translation>
    </message>
    <message>
        <source>Nobody is held out, so the new model cannot be compared with the old one.</source>
        <translation>Niemand wird zurückgehalten, also kann das neue Modell nicht mit dem alten verglichen werden.</translation>
    </message>
    <message>
        <source>None yet. A training learns from labels or from recordings without a needle, in a process of its own.</source>
        <translation>Noch keines. Ein Training lernt aus Beschriftungen oder aus Aufnahmen ohne Nadel, in einem eigenen Prozess.</translation>
    </message>
    <message>
        <source>Not in use</source>
        <translation>Nicht in Gebrauch</translation>
    </message>
    <message>
        <source>Old and new</source>
        <translation>Alt und neu</translation>
    </message>
    <message>
        <source>Old: {old}. New: {new}.</source>
        <translation>Alt: {old}. Neu: {new}.</translation>
    </message>
    <message>
        <source>Pause</source>
        <translation>Anhalten</translation>
    </message>
    <message>
        <source>Pause the training that is shown, or resume it</source>
        <translation>Das gezeigte Training anhalten oder fortsetzen</translation>
    </message>
    <message>
        <source>Pictures learnt from</source>
        <translation>Gelernte Bilder</translation>
    </message>
    <message>
        <source>Pictures learnt from, thousands</source>
        <translation>Gelernte Bilder, Tausend</translation>
    </message>
    <message>
        <source>Plan</source>
        <translation>Plan</translation>
    </message>
    <message>
        <source>Plan a training from the model that is shown</source>
        <translation>Ein Training vom gezeigten Modell aus planen</translation>
    </message>
    <message>
        <source>Progress of this stage</source>
        <translation>Fortschritt dieses Schritts</translation>
    </message>
    <message>
        <source>Put in use</source>
        <translation>In Gebrauch genommen</translation>
    </message>
    <message>
        <source>Remove it</source>
        <translation>Entfernen</translation>
    </message>
    <message>
        <source>Remove the training that is shown, asked twice</source>
        <translation>Das gezeigte Training entfernen, nach Rückfrage</translation>
    </message>
    <message>
        <source>Remove this training with {what}? The model it made stays.</source>
        <translation>Dieses Training mit {what} entfernen? Das Modell, das es gemacht hat, bleibt.</translation>
    </message>
    <message>
        <source>Its labels are nowhere else, so they stay among your datasets, as {folder}.</source>
        <translation>Seine Beschriftungen gibt es sonst nirgends; sie bleiben als {folder} unter Ihren Datensätzen.</translation>
    </message>
    <message>
        <source>Its own copy of the dataset {name}</source>
        <translation>Eigene Kopie des Datensatzes {name}</translation>
    </message>
    <message>
        <source>Its own copy of frames of the recordings</source>
        <translation>Eigene Kopie von Bildern der Aufnahmen</translation>
    </message>
    <message>
        <source>Its own copy of labels made here</source>
        <translation>Eigene Kopie hier gemachter Beschriftungen</translation>
    </message>
    <message>
        <source>its files and its copy of the dataset {name}</source>
        <translation>seinen Dateien und seiner Kopie des Datensatzes {name}</translation>
    </message>
    <message>
        <source>its files and its copy of the recordings' frames</source>
        <translation>seinen Dateien und seiner Kopie von Bildern der Aufnahmen</translation>
    </message>
    <message>
        <source>its files and its copy of the labels</source>
        <translation>seinen Dateien und seiner Kopie der Beschriftungen</translation>
    </message>
    <message>
        <source>its files</source>
        <translation>seinen Dateien</translation>
    </message>
    <message>
        <source>Rests on {count} frames</source>
        <translation>Beruht auf {count} Bildern</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>Fortsetzen</translation>
    </message>
    <message>
        <source>Resume goes on from its last checkpoint.</source>
        <translation>Fortsetzen geht vom letzten Zwischenstand aus.</translation>
    </message>
    <message>
        <source>Resume goes on from its last checkpoint, or begins anew where it has none.</source>
        <translation>Fortsetzen geht vom letzten Zwischenstand aus oder beginnt neu, wo es keinen gibt.</translation>
    </message>
    <message>
        <source>Retrain from this</source>
        <translation>Von hier aus trainieren</translation>
    </message>
    <message>
        <source>Share</source>
        <translation>Anteil</translation>
    </message>
    <message>
        <source>Simulated frames are among them: figures on these say nothing about patients.</source>
        <translation>Simulierte Bilder sind darunter: Zahlen daran sagen nichts über Patienten.</translation>
    </message>
    <message>
        <source>Start</source>
        <translation>Beginnen</translation>
    </message>
    <message>
        <source>Start the training that is planned</source>
        <translation>Das geplante Training beginnen</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Anhalten</translation>
    </message>
    <message>
        <source>Stop making the dataset of a training</source>
        <translation>Den Datensatz eines Trainings nicht weiter machen</translation>
    </message>
    <message>
        <source>The card states no figure.</source>
        <translation>Der Steckbrief nennt keine Zahl.</translation>
    </message>
    <message>
        <source>The new model is better in {count} of {all} figures and worse in none.</source>
        <translation>Das neue Modell ist in {count} von {all} Zahlen besser und in keiner schlechter.</translation>
    </message>
    <message>
        <source>The new model is worse in {count} of {all} figures and better in none.</source>
        <translation>Das neue Modell ist in {count} von {all} Zahlen schlechter und in keiner besser.</translation>
    </message>
    <message>
        <source>The training {name} was paused when the program closed.</source>
        <translation>Das Training {name} wurde angehalten, als das Programm schloss.</translation>
    </message>
    <message>
        <source>The part that teaches has {frames} labelled frames and needs {least}, {more} more: {needs}.</source>
        <translation>Der Teil, der lehrt, hat {frames} beschriftete Bilder und braucht {least}, {more} mehr: {needs}.</translation>
    </message>
    <message>
        <source>There is no other model to compare it with.</source>
        <translation>Es gibt kein anderes Modell, mit dem es verglichen werden kann.</translation>
    </message>
    <message>
        <source>There is no way to train a model for this plugin yet.</source>
        <translation>Für dieses Plugin lässt sich noch kein Modell trainieren.</translation>
    </message>
    <message>
        <source>Train a model</source>
        <translation>Ein Modell trainieren</translation>
    </message>
    <message>
        <source>Trained here from nothing, {version}</source>
        <translation>Hier von Grund auf trainiert, {version}</translation>
    </message>
    <message>
        <source>Training</source>
        <translation>Training</translation>
    </message>
    <message>
        <source>Training: {name}</source>
        <translation>Training: {name}</translation>
    </message>
    <message>
        <source>Trainings</source>
        <translation>Trainings</translation>
    </message>
    <message>
        <source>Use the model that is shown</source>
        <translation>Das gezeigte Modell benutzen</translation>
    </message>
    <message>
        <source>Use this model</source>
        <translation>Dieses Modell benutzen</translation>
    </message>
    <message>
        <source>Version {version}</source>
        <translation>Version {version}</translation>
    </message>
    <message>
        <source>Waits until the training before it has ended</source>
        <translation>Wartet, bis das Training davor zu Ende ist</translation>
    </message>
    <message>
        <source>What it is</source>
        <translation>Was es ist</translation>
    </message>
    <message>
        <source>What it says on tune frames</source>
        <translation>Was es zu Einstellbildern sagt</translation>
    </message>
    <message>
        <source>What the network says on tune frames</source>
        <translation>Was das Netz zu Einstellbildern sagt</translation>
    </message>
    <message>
        <source>Where it comes from</source>
        <translation>Woher es kommt</translation>
    </message>
    <message>
        <source>Who is held out</source>
        <translation>Wer zurückgehalten wird</translation>
    </message>
    <message>
        <source>about {count} min</source>
        <translation>etwa {count} min</translation>
    </message>
    <message>
        <source>all together</source>
        <translation>alle zusammen</translation>
    </message>
    <message>
        <source>better</source>
        <translation>besser</translation>
    </message>
    <message>
        <source>cannot be told</source>
        <translation>lässt sich nicht sagen</translation>
    </message>
    <message>
        <source>in use</source>
        <translation>in Gebrauch</translation>
    </message>
    <message>
        <source>in use, {origin}</source>
        <translation>in Gebrauch, {origin}</translation>
    </message>
    <message>
        <source>machines {name}</source>
        <translation>Geräte {name}</translation>
    </message>
    <message>
        <source>nobody</source>
        <translation>niemand</translation>
    </message>
    <message>
        <source>not stated</source>
        <translation>nicht angegeben</translation>
    </message>
    <message>
        <source>on tune frames</source>
        <translation>an Einstellbildern</translation>
    </message>
    <message>
        <source>pause, resume</source>
        <translation>anhalten, fortsetzen</translation>
    </message>
    <message>
        <source>points</source>
        <translation>Punkte</translation>
    </message>
    <message>
        <source>recorded</source>
        <translation>aufgenommen</translation>
    </message>
    <message>
        <source>start</source>
        <translation>beginnen</translation>
    </message>
    <message>
        <source>train</source>
        <translation>trainieren</translation>
    </message>
    <message>
        <source>use this model</source>
        <translation>dieses Modell benutzen</translation>
    </message>
    <message>
        <source>worse</source>
        <translation>schlechter</translation>
    </message>
    <message>
        <source>{count} frames</source>
        <translation>{count} Bilder</translation>
    </message>
    <message>
        <source>{count} labelled frames</source>
        <translation>{count} beschriftete Bilder</translation>
    </message>
    <message>
        <source>{count} min</source>
        <translation>{count} min</translation>
    </message>
    <message>
        <source>{count} s</source>
        <translation>{count} s</translation>
    </message>
    <message>
        <source>{count} subjects</source>
        <translation>{count} Personen</translation>
    </message>
    <message>
        <source>{done} of {total}</source>
        <translation>{done} von {total}</translation>
    </message>
    <message>
        <source>{frames} frames are few. Twice as many would teach it more surely.</source>
        <translation>{frames} Bilder sind wenig. Doppelt so viele lehren es sicherer.</translation>
    </message>
    <message>
        <source>{frames} frames, {clips} clips and {subjects} subjects that the new model has not learnt from.</source>
        <translation>{frames} Bilder, {clips} Clips und {subjects} Personen, aus denen das neue Modell nicht gelernt hat.</translation>
    </message>
    <message>
        <source>{hours} h {minutes} min</source>
        <translation>{hours} h {minutes} min</translation>
    </message>
    <message>
        <source>{low} to {high}</source>
        <translation>{low} bis {high}</translation>
    </message>
    <message>
        <source>{low} to {high} min</source>
        <translation>{low} bis {high} min</translation>
    </message>
    <message>
        <source>{model} is there. It changes nothing until you put it in use.</source>
        <translation>{model} ist da. Es ändert nichts, bis Sie es in Gebrauch nehmen.</translation>
    </message>
    <message>
        <source>{names} and {count} more</source>
        <translation>{names} und {count} weitere</translation>
    </message>
    <message>
        <source>{plugin} uses this model already; nothing changes.</source>
        <translation>{plugin} benutzt dieses Modell bereits; es ändert sich nichts.</translation>
    </message>
    <message>
        <source>{plugin} now uses: {model}.</source>
        <translation>{plugin} benutzt jetzt: {model}.</translation>
    </message>
    <message>
        <source>{recipe}, goes on from {base}</source>
        <translation>{recipe}, geht aus von {base}</translation>
    </message>
    <message>
        <source>{state}, {time} left</source>
        <translation>{state}, noch {time}</translation>
    </message>
    <message>
        <source>{time} left</source>
        <translation>noch {time}</translation>
    </message>
    <message>
        <source>{time} on this machine, by earlier trainings.</source>
        <translation>{time} auf diesem Rechner, nach früheren Trainings.</translation>
    </message>
    <message>
        <source>{time} so far</source>
        <translation>{time} bisher</translation>
    </message>
    <message>
        <source>{time}. This is a guess, since none of this kind has run here yet.</source>
        <translation>{time}. Das ist geschätzt, denn noch keines dieser Art lief hier.</translation>
    </message>
    <message>
        <source>Waiting</source>
        <translation>Wartet</translation>
    </message>
    <message>
        <source>Making data</source>
        <translation>Macht Daten</translation>
    </message>
    <message>
        <source>Paused</source>
        <translation>Angehalten</translation>
    </message>
    <message>
        <source>Interrupted</source>
        <translation>Unterbrochen</translation>
    </message>
    <message>
        <source>Cancelled</source>
        <translation>Abgebrochen</translation>
    </message>
    <message>
        <source>Failed</source>
        <translation>Gescheitert</translation>
    </message>
    <message>
        <source>comes with Puncta</source>
        <translation>mitgeliefert</translation>
    </message>
    <message>
        <source>made or installed here</source>
        <translation>hier gemacht oder installiert</translation>
    </message>
    <message>
        <source>from its plugin</source>
        <translation>vom Plugin</translation>
    </message>
    <message>
        <source>added here</source>
        <translation>von hier</translation>
    </message>
    <message>
        <source>comes with the plugin</source>
        <translation>kommt mit dem Plugin</translation>
    </message>
    <message>
        <source>goes on from a model</source>
        <translation>geht von einem Modell aus</translation>
    </message>
    <message>
        <source>adds a small adapter to a model</source>
        <translation>setzt einem Modell einen kleinen Adapter auf</translation>
    </message>
    <message>
        <source>begins from nothing</source>
        <translation>beginnt von Grund auf</translation>
    </message>
    <message>
        <source>learns from frames without labels first</source>
        <translation>lernt zuerst aus Bildern ohne Beschriftung</translation>
    </message>
    <message>
        <source>no clear difference</source>
        <translation>kein klarer Unterschied</translation>
    </message>
    <message>
        <source>Tips found within 2 mm</source>
        <translation>Spitzen innerhalb 2 mm gefunden</translation>
    </message>
    <message>
        <source>Tips found within 3 mm</source>
        <translation>Spitzen innerhalb 3 mm gefunden</translation>
    </message>
    <message>
        <source>Tip error, median</source>
        <translation>Fehler der Spitze, Median</translation>
    </message>
    <message>
        <source>Missed</source>
        <translation>Verpasst</translation>
    </message>
    <message>
        <source>False alarms</source>
        <translation>Fehlalarme</translation>
    </message>
    <message>
        <source>Tips shown</source>
        <translation>Gezeigte Spitzen</translation>
    </message>
    <message>
        <source>Shown tips within 2 mm</source>
        <translation>Gezeigte Spitzen innerhalb 2 mm</translation>
    </message>
    <message>
        <source>Shown where there is no tip</source>
        <translation>Gezeigt, wo keine Spitze ist</translation>
    </message>
    <message>
        <source>Tips inside their 90 % circle</source>
        <translation>Spitzen in ihrem 90-%-Kreis</translation>
    </message>
    <message>
        <source>Needles shown</source>
        <translation>Gezeigte Nadeln</translation>
    </message>
    <message>
        <source>Overlap of the mask (IoU)</source>
        <translation>Überlappung der Maske (IoU)</translation>
    </message>
    <message>
        <source>Overlap of shown masks (IoU)</source>
        <translation>Überlappung gezeigter Masken (IoU)</translation>
    </message>
    <message>
        <source>Masks where there is no needle</source>
        <translation>Masken, wo keine Nadel ist</translation>
    </message>
    <message>
        <source>Angle error, median</source>
        <translation>Winkelfehler, Median</translation>
    </message>
    <message>
        <source>Flags, F1</source>
        <translation>Merkmale, F1</translation>
    </message>
    <message>
        <source>Frames with all flags right</source>
        <translation>Bilder mit allen Merkmalen richtig</translation>
    </message>
    <message>
        <source>Quality right</source>
        <translation>Qualität richtig</translation>
    </message>
    <message>
        <source>Cord right</source>
        <translation>Rückenmark richtig</translation>
    </message>
    <message>
        <source>CSF right</source>
        <translation>Liquor richtig</translation>
    </message>
    <message>
        <source>Flags decided</source>
        <translation>Entschiedene Merkmale</translation>
    </message>
    <message>
        <source>Wrong among the decided</source>
        <translation>Falsch unter den entschiedenen</translation>
    </message>
    <message>
        <source>Error of the confidence (ECE)</source>
        <translation>Fehler der Sicherheit (ECE)</translation>
    </message>
    <message>
        <source>Changes of a flag a minute</source>
        <translation>Wechsel eines Merkmals in der Minute</translation>
    </message>
    <message>
        <source>Tips within 5 % of the picture</source>
        <translation>Spitzen innerhalb 5 % des Bildes</translation>
    </message>
    <message>
        <source>Tells needle from none (AUC)</source>
        <translation>Unterscheidet Nadel von keiner (AUC)</translation>
    </message>
    <message>
        <source>Maps that point right</source>
        <translation>Karten, die richtig zeigen</translation>
    </message>
    <message>
        <source>Held out subjects</source>
        <translation>Zurückgehaltene Personen</translation>
    </message>
    <message>
        <source>This site, held out</source>
        <translation>Dieser Standort, zurückgehalten</translation>
    </message>
    <message>
        <source>New cases, machines it has learnt from</source>
        <translation>Neue Fälle, Geräte, von denen es lernte</translation>
    </message>
    <message>
        <source>Machines it has never seen</source>
        <translation>Geräte, die es nie sah</translation>
    </message>
    <message>
        <source>Tune frames, which set its thresholds</source>
        <translation>Einstellbilder, die seine Schwellen setzen</translation>
    </message>
    <message>
        <source>Sets thresholds by</source>
        <translation>Setzt Schwellen an</translation>
    </message>
    <message>
        <source>Held out, to judge</source>
        <translation>Zurückgehalten, zum Urteilen</translation>
    </message>
    <message>
        <source>needle or none</source>
        <translation>Nadel oder keine</translation>
    </message>
    <message>
        <source>place</source>
        <translation>Ort</translation>
    </message>
    <message>
        <source>direction</source>
        <translation>Richtung</translation>
    </message>
    <message>
        <source>mask</source>
        <translation>Maske</translation>
    </message>
    <message>
        <source>overlap</source>
        <translation>Überlappung</translation>
    </message>
    <message>
        <source>centre line</source>
        <translation>Mittellinie</translation>
    </message>
    <message>
        <source>flags</source>
        <translation>Merkmale</translation>
    </message>
    <message>
        <source>other pictures</source>
        <translation>andere Bilder</translation>
    </message>
    <message>
        <source>map</source>
        <translation>Karte</translation>
    </message>
    <message>
        <source>shaft</source>
        <translation>Schaft</translation>
    </message>
    <message>
        <source>Begins</source>
        <translation>Beginnt</translation>
    </message>
    <message>
        <source>Learns</source>
        <translation>Lernt</translation>
    </message>
    <message>
        <source>Sets thresholds</source>
        <translation>Setzt Schwellen</translation>
    </message>
    <message>
        <source>Makes clips to learn from</source>
        <translation>Macht Clips zum Lernen</translation>
    </message>
    <message>
        <source>Needle tip: adapt to one site</source>
        <translation>Nadelspitze: an einen Standort anpassen</translation>
    </message>
    <message>
        <source>Needle tip: train from nothing</source>
        <translation>Nadelspitze: von Grund auf trainieren</translation>
    </message>
    <message>
        <source>Needle mask and tracking: adapt to one site</source>
        <translation>Nadelmaske und Verfolgung: an einen Standort anpassen</translation>
    </message>
    <message>
        <source>Infant landmarks: adapt to one site</source>
        <translation>Landmarken beim Säugling: an einen Standort anpassen</translation>
    </message>
    <message>
        <source>Goes on from a finished model, learns the labelled frames and keeps close to what the model said before on simulated cines of other machines and on frames without a label.</source>
        <translation>Geht von einem fertigen Modell aus, lernt die beschrifteten Bilder und bleibt nahe an dem, was das Modell zuvor zu simulierten Clips anderer Geräte und zu Bildern ohne Beschriftung sagte.</translation>
    </message>
    <message>
        <source>Trains a new network on 1,800 simulated cines and the labelled frames. Takes long, and knows no picture of other sites.</source>
        <translation>Trainiert ein neues Netz an 1.800 simulierten Clips und den beschrifteten Bildern. Dauert lange und kennt kein Bild anderer Standorte.</translation>
    </message>
    <message>
        <source>Goes on from a finished tracker and learns the labelled masks beside simulated cines of other machines.</source>
        <translation>Geht von einem fertigen Verfolger aus und lernt die beschrifteten Masken neben simulierten Clips anderer Geräte.</translation>
    </message>
    <message>
        <source>Low-rank adapters on a finished network learn the labelled frames beside simulated infants of other machines; they are added into its weights at the end.</source>
        <translation>Kleine Adapter auf einem fertigen Netz lernen die beschrifteten Bilder neben simulierten Säuglingen anderer Geräte; am Ende gehen sie in seine Gewichte ein.</translation>
    </message>
    <message>
        <source>tips, or 'not visible', on single frames; frames in between may stay open</source>
        <translation>Spitzen oder „nicht sichtbar“ auf einzelnen Bildern; Bilder dazwischen dürfen offen bleiben</translation>
    </message>
    <message>
        <source>tips, or 'not visible', on single frames</source>
        <translation>Spitzen oder „nicht sichtbar“ auf einzelnen Bildern</translation>
    </message>
    <message>
        <source>needle masks, or 'no needle', on successive frames</source>
        <translation>Nadelmasken oder „keine Nadel“ auf aufeinanderfolgenden Bildern</translation>
    </message>
    <message>
        <source>all three flags (quality, cord, CSF) on single frames</source>
        <translation>alle drei Merkmale (Qualität, Rückenmark, Liquor) auf einzelnen Bildern</translation>
    </message>
    <message>
        <source>A recording asked for on {when} ended with the program before its first picture was stored: {name} is not there.</source>
        <translation>Eine am {when} begonnene Aufnahme endete mit dem Programm, bevor ihr erstes Bild gespeichert war: {name} ist nicht da.</translation>
    </message>
    <message>
        <source>To review first</source>
        <translation>Zuerst ansehen</translation>
    </message>
    <message>
        <source>Frames that teach most</source>
        <translation>Bilder, die am meisten lehren</translation>
    </message>
    <message>
        <source>Find the frames that would teach most</source>
        <translation>Die Bilder finden, die am meisten lehren</translation>
    </message>
    <message>
        <source>frames that teach</source>
        <translation>lehrreiche Bilder</translation>
    </message>
    <message>
        <source>{count} frames would teach most; they stand first in the queue. {key} goes there.</source>
        <translation>{count} Bilder lehren am meisten; sie stehen zuerst in der Liste. {key} führt hin.</translation>
    </message>
    <message>
        <source>only {rater}</source>
        <translation>nur {rater}</translation>
    </message>
    <message>
        <source>why not seen</source>
        <translation>warum nicht gesehen</translation>
    </message>
    <message>
        <source>seen or not</source>
        <translation>gesehen oder nicht</translation>
    </message>
    <message>
        <source>The comparison was stopped. It begins again when this page is opened.</source>
        <translation>Der Vergleich wurde angehalten. Er beginnt neu, wenn diese Seite geöffnet wird.</translation>
    </message>
    <message>
        <source>Everything here is simulated: the figures say nothing about real scanners or patients.</source>
        <translation>Alles hier ist simuliert: die Zahlen sagen nichts über echte Geräte oder Patienten.</translation>
    </message>
    <message>
        <source>The dataset was taken as a whole; a model that learnt from it looks better than it is.</source>
        <translation>Der Datensatz wurde als Ganzes genommen; ein Modell, das aus ihm gelernt hat, sieht besser aus, als es ist.</translation>
    </message>
    <message>
        <source>There are too few clips to tell a difference from chance.</source>
        <translation>Es sind zu wenige Clips, um einen Unterschied vom Zufall zu trennen.</translation>
    </message>
    <message>
        <source>All clips show one subject, so the intervals say nothing about another one.</source>
        <translation>Alle Clips zeigen eine Person, also sagen die Bereiche nichts über eine andere.</translation>
    </message>
    <message>
        <source>tip error, median</source>
        <translation>Fehler der Spitze, Median</translation>
    </message>
    <message>
        <source>tip error, 95 % below</source>
        <translation>Fehler der Spitze, 95 % darunter</translation>
    </message>
    <message>
        <source>tip within 2 mm</source>
        <translation>Spitze innerhalb 2 mm</translation>
    </message>
    <message>
        <source>tip within 3 mm</source>
        <translation>Spitze innerhalb 3 mm</translation>
    </message>
    <message>
        <source>misses</source>
        <translation>Verpasste</translation>
    </message>
    <message>
        <source>false alarms</source>
        <translation>Fehlalarme</translation>
    </message>
    <message>
        <source>calibration error</source>
        <translation>Fehler der Sicherheit</translation>
    </message>
    <message>
        <source>needle angle error, median</source>
        <translation>Winkelfehler der Nadel, Median</translation>
    </message>
    <message>
        <source>mask IoU, mean</source>
        <translation>Masken-IoU, Mittel</translation>
    </message>
    <message>
        <source>mask Dice, mean</source>
        <translation>Masken-Dice, Mittel</translation>
    </message>
    <message>
        <source>mask precision, mean</source>
        <translation>Genauigkeit der Maske, Mittel</translation>
    </message>
    <message>
        <source>mask recall, mean</source>
        <translation>Trefferquote der Maske, Mittel</translation>
    </message>
    <message>
        <source>mask outline off by, mean</source>
        <translation>Abstand des Maskenrands, Mittel</translation>
    </message>
    <message>
        <source>needle without a mask</source>
        <translation>Nadel ohne Maske</translation>
    </message>
    <message>
        <source>masks without a needle</source>
        <translation>Masken ohne Nadel</translation>
    </message>
    <message>
        <source>masks, needle out of plane</source>
        <translation>Masken, Nadel nicht in der Ebene</translation>
    </message>
    <message>
        <source>start after entry, median</source>
        <translation>Beginn nach dem Eintritt, Median</translation>
    </message>
    <message>
        <source>started within 10 frames</source>
        <translation>innerhalb 10 Bildern begonnen</translation>
    </message>
    <message>
        <source>flags, micro F1</source>
        <translation>Merkmale, Mikro-F1</translation>
    </message>
    <message>
        <source>F1 of quality</source>
        <translation>F1 der Qualität</translation>
    </message>
    <message>
        <source>F1 of cord</source>
        <translation>F1 des Rückenmarks</translation>
    </message>
    <message>
        <source>F1 of csf</source>
        <translation>F1 des Liquors</translation>
    </message>
    <message>
        <source>flags, accuracy</source>
        <translation>Merkmale, Richtigkeit</translation>
    </message>
    <message>
        <source>flags, precision</source>
        <translation>Merkmale, Genauigkeit</translation>
    </message>
    <message>
        <source>flags, recall</source>
        <translation>Merkmale, Trefferquote</translation>
    </message>
    <message>
        <source>images with all flags right</source>
        <translation>Bilder mit allen Merkmalen richtig</translation>
    </message>
    <message>
        <source>wrong flags (Hamming)</source>
        <translation>falsche Merkmale (Hamming)</translation>
    </message>
    <message>
        <source>wrong among the decided</source>
        <translation>falsch unter den entschiedenen</translation>
    </message>
    <message>
        <source>flag changes, truth constant</source>
        <translation>Wechsel der Merkmale bei gleicher Wahrheit</translation>
    </message>
    <message>
        <source>needle overlap, mean</source>
        <translation>Überlappung der Nadel, Mittel</translation>
    </message>
    <message>
        <source>time a frame, median</source>
        <translation>Zeit je Bild, Median</translation>
    </message>
    <message>
        <source>heat map peaks on the structure</source>
        <translation>Wärmebild gipfelt auf der Struktur</translation>
    </message>
    <message>
        <source>Choose cases</source>
        <translation>Fälle wählen</translation>
    </message>
    <message>
        <source>{title}, {subject}: {count} frames</source>
        <translation>{title}, {subject}: {count} Bilder</translation>
    </message>
    <message>
        <source>subject not stated</source>
        <translation>Person nicht angegeben</translation>
    </message>
    <message>
        <source>IoU, vanished for 5 frames</source>
        <translation>IoU, seit 5 Bildern verschwunden</translation>
    </message>
    <message>
        <source>Jaccard of an image, mean</source>
        <translation>Jaccard eines Bildes, Mittel</translation>
    </message>
    <message>
        <source>mask F1 of these means</source>
        <translation>Masken-F1 aus diesen Mitteln</translation>
    </message>
    <message>
        <source>needle AP50</source>
        <translation>Nadel AP50</translation>
    </message>
    <message>
        <source>needle AP70</source>
        <translation>Nadel AP70</translation>
    </message>
    <message>
        <source>recall, vanished for 5 frames</source>
        <translation>Trefferquote, seit 5 Bildern verschwunden</translation>
    </message>
    <message>
        <source>tip AP10..50</source>
        <translation>Spitze AP10..50</translation>
    </message>
    <message>
        <source>tip AP50</source>
        <translation>Spitze AP50</translation>
    </message>
    <message>
        <source>keys part {apart} mm</source>
        <translation>Schlüssel {apart} mm</translation>
    </message>
    <message>
        <source>Reads the labelled clips</source>
        <translation>Liest die beschrifteten Clips</translation>
    </message>
    <message>
        <source>Reads the labelled masks</source>
        <translation>Liest die beschrifteten Masken</translation>
    </message>
    <message>
        <source>Makes simulated clips</source>
        <translation>Macht simulierte Clips</translation>
    </message>
    <message>
        <source>Makes simulated infants</source>
        <translation>Macht simulierte Säuglinge</translation>
    </message>
    <message>
        <source>Makes simulated pictures of other organs</source>
        <translation>Macht simulierte Bilder anderer Organe</translation>
    </message>
    <message>
        <source>The training {name} was interrupted when the program ended.</source>
        <translation>Das Training {name} wurde unterbrochen, als das Programm endete.</translation>
    </message>
    <message>
        <source>Whole cases are held out, not people: the same person may be among those learnt from, so the comparison is weaker than it looks.</source>
        <translation>Zurückgehalten sind ganze Fälle, nicht Personen: Aus derselben Person kann auch gelernt worden sein, daher ist der Vergleich schwächer, als er aussieht.</translation>
    </message>
    <message>
        <source>{count} cases without a subject stay together, for they may be the same person.</source>
        <translation>{count} Fälle ohne Angabe der Person bleiben zusammen, denn sie können von derselben Person sein.</translation>
    </message>
    <message>
        <source>There is only 1 subject, so whole cases are held out instead: the same person may be on both sides, and the comparison is weaker than it looks. Label a third subject, or state the subjects of the cases.</source>
        <translation>Es gibt nur 1 Person, daher werden ganze Fälle zurückgehalten: Dieselbe Person kann auf beiden Seiten sein, und der Vergleich ist schwächer, als er aussieht. Beschriften Sie eine dritte Person, oder geben Sie an, von wem die Fälle sind.</translation>
    </message>
    <message>
        <source>There are only {count} subjects, so whole cases are held out instead: the same person may be on both sides, and the comparison is weaker than it looks. Label a third subject, or state the subjects of the cases.</source>
        <translation>Es gibt nur {count} Personen, daher werden ganze Fälle zurückgehalten: Dieselbe Person kann auf beiden Seiten sein, und der Vergleich ist schwächer, als er aussieht. Beschriften Sie eine dritte Person, oder geben Sie an, von wem die Fälle sind.</translation>
    </message>
    <message>
        <source>There is only 1 subject and 1 case, so nothing can be held out and no honest comparison is possible. Label cases of three subjects or more, or judge the model on another dataset.</source>
        <translation>Es gibt nur 1 Person und 1 Fall, daher kann nichts zurückgehalten werden und kein ehrlicher Vergleich ist möglich. Beschriften Sie Fälle von drei oder mehr Personen, oder beurteilen Sie das Modell an einem anderen Datensatz.</translation>
    </message>
    <message>
        <source>There is only 1 subject and {cases} cases, so nothing can be held out and no honest comparison is possible. Label cases of three subjects or more, or judge the model on another dataset.</source>
        <translation>Es gibt nur 1 Person und {cases} Fälle, daher kann nichts zurückgehalten werden und kein ehrlicher Vergleich ist möglich. Beschriften Sie Fälle von drei oder mehr Personen, oder beurteilen Sie das Modell an einem anderen Datensatz.</translation>
    </message>
    <message>
        <source>There are only {count} subjects and {cases} cases, so nothing can be held out and no honest comparison is possible. Label cases of three subjects or more, or judge the model on another dataset.</source>
        <translation>Es gibt nur {count} Personen und {cases} Fälle, daher kann nichts zurückgehalten werden und kein ehrlicher Vergleich ist möglich. Beschriften Sie Fälle von drei oder mehr Personen, oder beurteilen Sie das Modell an einem anderen Datensatz.</translation>
    </message>
    <message>
        <source>{data} has no confirmed label that the plugin {plugin} can learn from.</source>
        <translation>{data} enthält keine bestätigte Beschriftung, aus der das Plugin {plugin} lernen kann.</translation>
    </message>
    <message>
        <source>{case} has labels of {raters} and no consensus; name one by --rater.</source>
        <translation>{case} hat Beschriftungen von {raters} und keinen Konsens; wählen Sie eine Person mit --rater.</translation>
    </message>
    <message>
        <source>Paused. Resume goes on from the last checkpoint.</source>
        <translation>Angehalten. Fortsetzen geht vom letzten Zwischenstand aus.</translation>
    </message>
    <message>
        <source>Cancelled.</source>
        <translation>Abgebrochen.</translation>
    </message>
    <message>
        <source>It stopped with a checkpoint. Resume goes on from the last checkpoint.</source>
        <translation>Es hat mit einem Zwischenstand aufgehört. Fortsetzen geht vom letzten Zwischenstand aus.</translation>
    </message>
    <message>
        <source>Its process was ended from outside. Resume goes on from the last checkpoint.</source>
        <translation>Sein Prozess wurde von außen beendet. Fortsetzen geht vom letzten Zwischenstand aus.</translation>
    </message>
    <message>
        <source>It ended with status {status}. Resume goes on from the last checkpoint.</source>
        <translation>Es endete mit Status {status}. Fortsetzen geht vom letzten Zwischenstand aus.</translation>
    </message>
    <message>
        <source>The disk is full, so the training has stopped; make room, and resume goes on from the last checkpoint.</source>
        <translation>Der Datenträger ist voll, daher hat das Training aufgehört; schaffen Sie Platz, dann geht Fortsetzen vom letzten Zwischenstand aus.</translation>
    </message>
    <message>
        <source>It failed and did not say why.</source>
        <translation>Es ist fehlgeschlagen und hat nicht gesagt, warum.</translation>
    </message>
    <message>
        <source>It runs already in another window of the program.</source>
        <translation>Es läuft bereits in einem anderen Fenster des Programms.</translation>
    </message>
    <message>
        <source>The program was closed before it began.</source>
        <translation>Das Programm wurde geschlossen, bevor es begann.</translation>
    </message>
    <message>
        <source>Its process ended before it was done; resume goes on.</source>
        <translation>Sein Prozess endete, bevor es fertig war; Fortsetzen geht weiter.</translation>
    </message>
    <message>
        <source>The program ended before it began; resume begins it.</source>
        <translation>Das Programm endete, bevor es begann; Fortsetzen beginnt es.</translation>
    </message>
    <message>
        <source>The dataset {name} is not there any more, so it cannot go on.</source>
        <translation>Der Datensatz {name} ist nicht mehr da, daher kann es nicht weitergehen.</translation>
    </message>
    <message>
        <source>Training needs PyTorch, which is not installed here; install it with: pip install "puncta[train]" --extra-index-url https://download.pytorch.org/whl/cpu</source>
        <translation>Training braucht PyTorch, das hier nicht installiert ist; installieren Sie es mit: pip install "puncta[train]" --extra-index-url https://download.pytorch.org/whl/cpu</translation>
    </message>
    <message>
        <source>The part of the dataset {name} that teaches has {frames} labelled frames and needs {least}, {more} more: {needs}.</source>
        <translation>Der Teil des Datensatzes {name}, der lehrt, hat {frames} beschriftete Bilder und braucht {least}, {more} mehr: {needs}.</translation>
    </message>
    <message>
        <source>In the dataset {name} the subject {subject} is in the splits {splits}; a subject may be on one side only, so make the split again.</source>
        <translation>Im Datensatz {name} ist die Person {subject} in den Teilen {splits}; eine Person darf nur auf einer Seite sein, teilen Sie daher neu auf.</translation>
    </message>
    <message>
        <source>The weights of "{model}" are not kept, so no training can begin with them.</source>
        <translation>Die Gewichte von „{model}“ sind nicht aufbewahrt, daher kann kein Training von ihnen ausgehen.</translation>
    </message>
    <message>
        <source>Stopped; no dataset was made.</source>
        <translation>Angehalten; es wurde kein Datensatz gemacht.</translation>
    </message>
    <message>
        <source>{name} is waiting already.</source>
        <translation>{name} wartet bereits.</translation>
    </message>
    <message>
        <source>{name} is running already.</source>
        <translation>{name} läuft bereits.</translation>
    </message>
    <message>
        <source>{name} is running; pause or cancel it first.</source>
        <translation>{name} läuft; halten Sie es zuerst an, oder brechen Sie es ab.</translation>
    </message>
    <message>
        <source>{name} waits in another window of the program; cancel it there first.</source>
        <translation>{name} wartet in einem anderen Fenster des Programms; brechen Sie es zuerst dort ab.</translation>
    </message>
    <message>
        <source>{name} waits in another window of the program; pause or cancel it there.</source>
        <translation>{name} wartet in einem anderen Fenster des Programms; halten Sie es dort an, oder brechen Sie es dort ab.</translation>
    </message>
    <message>
        <source>The plugin "{plugin}" uses the model "{model}" already; nothing changes.</source>
        <translation>Das Plugin „{plugin}“ verwendet das Modell „{model}“ bereits; nichts ändert sich.</translation>
    </message>
    <message>
        <source>Another Puncta changes the models in {folder} right now; try again in a moment.</source>
        <translation>Ein anderes Puncta ändert gerade die Modelle in {folder}; versuchen Sie es gleich noch einmal.</translation>
    </message>
    <message>
        <source>The file {file} does not match its recorded hash; it was changed or damaged and is not loaded. Install the model "{model}" again.</source>
        <translation>Die Datei {file} passt nicht zu ihrer festgehaltenen Prüfsumme; sie wurde geändert oder beschädigt und wird nicht geladen. Installieren Sie das Modell „{model}“ neu.</translation>
    </message>
    <message>
        <source>The plugin "{plugin}" cannot start with the model "{model}": {why}</source>
        <translation>Das Plugin „{plugin}“ kann mit dem Modell „{model}“ nicht starten: {why}</translation>
    </message>
    <message>
        <source>{plugin} goes on with "{model}". {why}</source>
        <translation>{plugin} arbeitet mit „{model}“ weiter. {why}</translation>
    </message>
    <message>
        <source>{plugin} stays as it is. {why}</source>
        <translation>{plugin} bleibt, wie es ist. {why}</translation>
    </message>
    <message>
        <source>It has no model that could be switched.</source>
        <translation>Es hat kein Modell, das gewechselt werden könnte.</translation>
    </message>
    <message>
        <source>It could not be started with the other model; the log has the details.</source>
        <translation>Es konnte mit dem anderen Modell nicht gestartet werden; die Einzelheiten stehen im Protokoll.</translation>
    </message>
    <message>
        <source>Fewer than {least} clips ({clips}) tell no difference from chance, so none is called.</source>
        <translation>Weniger als {least} Clips ({clips}) lassen keinen Unterschied vom Zufall trennen, daher wird keiner genannt.</translation>
    </message>
    <message>
        <source>Of a machine with fewer than {least} clips no difference is called.</source>
        <translation>Bei einem Gerät mit weniger als {least} Clips wird kein Unterschied genannt.</translation>
    </message>
    <message>
        <source>Of {tested} figures without a difference, one in twenty still looks better or worse by chance.</source>
        <translation>Von {tested} Werten ohne Unterschied sieht einer von zwanzig dennoch zufällig besser oder schlechter aus.</translation>
    </message>
    <message>
        <source>With "{model}" the plugin failed on {frames} frames; they count as misses.</source>
        <translation>Mit „{model}“ ist das Plugin an {frames} Bildern gescheitert; sie zählen als verfehlt.</translation>
    </message>
    <message>
        <source>{count} more set thresholds and judge.</source>
        <translation>{count} weitere setzen Schwellen und urteilen.</translation>
    </message>
    <message>
        <source>Taken back: {title}, {what}.</source>
        <translation>Zurückgenommen: {title}, {what}.</translation>
    </message>
    <message>
        <source>Made again: {title}, {what}.</source>
        <translation>Wiederhergestellt: {title}, {what}.</translation>
    </message>
    <message>
        <source>Taken back: {title}.</source>
        <translation>Zurückgenommen: {title}.</translation>
    </message>
    <message>
        <source>Made again: {title}.</source>
        <translation>Wiederhergestellt: {title}.</translation>
    </message>
    <message>
        <source>What lies between key frames follows, {what}.</source>
        <translation>Was zwischen Schlüsselbildern liegt, folgt: {what}.</translation>
    </message>
    <message>
        <source>proposals on frame {index}</source>
        <translation>Vorschläge auf Bild {index}</translation>
    </message>
    <message>
        <source>labels on frame {index}</source>
        <translation>Beschriftungen auf Bild {index}</translation>
    </message>
    <message>
        <source>proposals on {count} frames from {first} to {last}</source>
        <translation>Vorschläge auf {count} Bildern von {first} bis {last}</translation>
    </message>
    <message>
        <source>labels on {count} frames from {first} to {last}</source>
        <translation>Beschriftungen auf {count} Bildern von {first} bis {last}</translation>
    </message>
    <message>
        <source>Frame {index} is not on the screen yet. Look at it, then answer.</source>
        <translation>Bild {index} ist noch nicht auf dem Bildschirm. Sehen Sie es an, dann antworten Sie.</translation>
    </message>
    <message>
        <source>Nothing to take back here.</source>
        <translation>Hier gibt es nichts zurückzunehmen.</translation>
    </message>
    <message>
        <source>Nothing to make again here.</source>
        <translation>Hier gibt es nichts zu wiederholen.</translation>
    </message>
    <message>
        <source>Taken back. The readings differ no more there.</source>
        <translation>Zurückgenommen. Dort unterscheiden sich die Lesungen nicht mehr.</translation>
    </message>
    <message>
        <source>Frame {index}, {thing}: the answer stands again.</source>
        <translation>Bild {index}, {thing}: die Antwort steht wieder.</translation>
    </message>
    <message>
        <source>Made again.</source>
        <translation>Wiederhergestellt.</translation>
    </message>
    <message>
        <source>Frame {index}, {thing}: the answer is taken back and waits again.</source>
        <translation>Bild {index}, {thing}: die Antwort ist zurückgenommen und steht wieder aus.</translation>
    </message>
    <message>
        <source>There is no store of labels at {path}. Look at the name, or begin an empty one there.</source>
        <translation>Unter {path} liegt kein Speicher für Beschriftungen. Prüfen Sie den Namen, oder beginnen Sie dort einen leeren.</translation>
    </message>
    <message>
        <source>Something went wrong inside Puncta; this is our fault. The details are in {file}. Resume goes on from the last checkpoint.</source>
        <translation>In Puncta ist etwas schiefgegangen; das ist unser Fehler. Näheres steht in {file}. Fortsetzen geht vom letzten Zwischenstand aus weiter.</translation>
    </message>
    <message>
        <source>The disk is full, so the training has stopped; make room for {folder} and its clips, and press Resume.</source>
        <translation>Der Datenträger ist voll, deshalb hat das Training angehalten; schaffen Sie Platz für {folder} und seine Filme, und drücken Sie auf Fortsetzen.</translation>
    </message>
    <message>
        <source>A finished network goes half of the way to how your pictures look; then low-rank adapters learn the labelled frames beside simulated infants of other machines, and are added into its weights at the end.</source>
        <translation>Ein fertiges Netz geht zur Hälfte darauf zu, wie Ihre Bilder aussehen; dann lernen Anpassungen niedrigen Rangs die beschrifteten Bilder neben simulierten Säuglingen anderer Geräte und werden am Ende zu seinen Gewichten addiert.</translation>
    </message>
    <message>
        <source>the picture is set too deep for an infant, or its scale is wrong</source>
        <translation>das Bild ist für einen Säugling zu tief eingestellt, oder sein Maßstab stimmt nicht</translation>
    </message>
    <message>
        <source>deeper than an infant's spine lies, or the scale is wrong</source>
        <translation>tiefer, als die Wirbelsäule eines Säuglings liegt, oder der Maßstab stimmt nicht</translation>
    </message>
    <message>
        <source>The lab's store of labels is not reached. Your labels are kept on this computer and go there by themselves when it answers.</source>
        <translation>Der Speicher des Labors wird nicht erreicht. Ihre Beschriftungen bleiben auf diesem Rechner und gehen von selbst dorthin, sobald er antwortet.</translation>
    </message>
    <message>
        <source>The lab's store of labels is reached again.</source>
        <translation>Der Speicher des Labors ist wieder erreicht.</translation>
    </message>
    <message>
        <source>The lab's store has not taken “{title}”, and shows what it holds instead: {reason}</source>
        <translation>Der Speicher des Labors hat „{title}“ nicht angenommen und zeigt, was er stattdessen hat: {reason}</translation>
    </message>
    <message>
        <source>Lab store not reached</source>
        <translation>Labor nicht erreicht</translation>
    </message>
    <message>
        <source>Lab store not reached, {count} waiting here</source>
        <translation>Labor nicht erreicht, {count} warten hier</translation>
    </message>
    <message>
        <source>Reaching the lab store</source>
        <translation>Labor wird gesucht</translation>
    </message>
    <message>
        <source>Until it answers, labels are kept on this computer.</source>
        <translation>Bis es antwortet, bleiben Beschriftungen auf diesem Rechner.</translation>
    </message>
    <message>
        <source>In the lab's store.</source>
        <translation>Im Speicher des Labors.</translation>
    </message>
    <message>
        <source>The frames are still being looked at.</source>
        <translation>Die Bilder werden noch angesehen.</translation>
    </message>
    <message>
        <source>It is confirmed already.</source>
        <translation>Es ist schon bestätigt.</translation>
    </message>
    <message>
        <source>Every frame of it is confirmed already.</source>
        <translation>Jedes Bild davon ist schon bestätigt.</translation>
    </message>
    <message>
        <source>A proposal waits on frame {index}.</source>
        <translation>Auf Bild {index} wartet ein Vorschlag.</translation>
    </message>
    <message>
        <source>Proposals wait on frames {first} to {last}.</source>
        <translation>Vorschläge warten auf den Bildern {first} bis {last}.</translation>
    </message>
    <message>
        <source>{key} carries the needle on from this frame.</source>
        <translation>{key} trägt die Nadel von diesem Bild aus weiter.</translation>
    </message>
    <message>
        <source>The needle is drawn on frame {index} alone; draw it on a second one.</source>
        <translation>Die Nadel ist nur auf Bild {index} gezeichnet; zeichnen Sie sie auf einem zweiten.</translation>
    </message>
    <message>
        <source>The needle is drawn on frame {index} alone; draw it on a second one, or press {key}.</source>
        <translation>Die Nadel ist nur auf Bild {index} gezeichnet; zeichnen Sie sie auf einem zweiten, oder drücken Sie {key}.</translation>
    </message>
    <message>
        <source>No needle is drawn yet; draw it on two frames, or press {key}.</source>
        <translation>Noch ist keine Nadel gezeichnet; zeichnen Sie sie auf zwei Bildern, oder drücken Sie {key}.</translation>
    </message>
    <message>
        <source>No needle is drawn yet; draw it on two frames.</source>
        <translation>Noch ist keine Nadel gezeichnet; zeichnen Sie sie auf zwei Bildern.</translation>
    </message>
    <message>
        <source>{thing}: click it.</source>
        <translation>{thing}: anklicken.</translation>
    </message>
    <message>
        <source>{thing}: drag from where it comes in to its tip.</source>
        <translation>{thing}: vom Eintritt bis zur Spitze ziehen.</translation>
    </message>
    <message>
        <source>{thing}: click the corners; the first one again, or the right button, closes.</source>
        <translation>{thing}: die Ecken anklicken; die erste noch einmal oder die rechte Taste schließt.</translation>
    </message>
    <message>
        <source>{thing}: the left button paints, the right one takes away.</source>
        <translation>{thing}: die linke Taste malt, die rechte nimmt weg.</translation>
    </message>
    <message>
        <source>{thing}: drag a box around it.</source>
        <translation>{thing}: einen Kasten darum ziehen.</translation>
    </message>
    <message>
        <source>{thing}: drag from one end to the other.</source>
        <translation>{thing}: von einem Ende zum anderen ziehen.</translation>
    </message>
    <message>
        <source>{key} again: {way}.</source>
        <translation>{key} noch einmal: {way}.</translation>
    </message>
    <message>
        <source>Needle tip: learn this machine's pictures without labels</source>
        <translation>Nadelspitze: die Bilder dieses Geräts ohne Beschriftungen lernen</translation>
    </message>
    <message>
        <source>Goes on from a finished model: needles are drawn into recordings of your machine that show none, beside simulated cines of other machines. It learns how the machine draws tissue, not how your needles look in it; adapt the new model to labels afterwards.</source>
        <translation>Geht von einem fertigen Modell aus: In Aufnahmen Ihres Geräts, die keine Nadel zeigen, werden Nadeln gezeichnet, daneben simulierte Clips anderer Geräte. Es lernt, wie das Gerät Gewebe zeichnet, nicht, wie Ihre Nadeln darin aussehen; passen Sie das neue Modell danach an Beschriftungen an.</translation>
    </message>
    <message>
        <source>recordings of this machine without any needle</source>
        <translation>Aufnahmen dieses Geräts ohne jede Nadel</translation>
    </message>
    <message>
        <source>Nothing is left of the recordings to learn from.</source>
        <translation>Von den Aufnahmen bleibt nichts zum Lernen.</translation>
    </message>
    <message>
        <source>The part of the dataset {name} that teaches has {frames} needle-free frames and needs {least}, {more} more: {needs}.</source>
        <translation>Der Teil des Datensatzes {name}, aus dem gelernt wird, hat {frames} Bilder ohne Nadel und braucht {least}, {more} mehr: {needs}.</translation>
    </message>
    <message>
        <source>The part of these labels that teaches has {frames} labelled frames and needs {least}, {more} more: {needs}.</source>
        <translation>Der Teil dieser Beschriftungen, aus dem gelernt wird, hat {frames} beschriftete Bilder und braucht {least}, {more} mehr: {needs}.</translation>
    </message>
    <message>
        <source>The part of these recordings that teaches has {frames} needle-free frames and needs {least}, {more} more: {needs}.</source>
        <translation>Der Teil dieser Aufnahmen, aus dem gelernt wird, hat {frames} Bilder ohne Nadel und braucht {least}, {more} mehr: {needs}.</translation>
    </message>
    <message>
        <source>The needles in the held out frames are drawn into them: found and missed tips say how the model reads this machine's tissue, and nothing of real needles.</source>
        <translation>Die Nadeln in den zurückgehaltenen Bildern sind hineingezeichnet: Gefundene und verfehlte Spitzen sagen, wie das Modell das Gewebe dieses Geräts liest, und nichts über echte Nadeln.</translation>
    </message>
    <message>
        <source>Nothing is left of the recordings that teach; add recordings of other persons, and make it again.</source>
        <translation>Von den Aufnahmen, an denen gelernt wird, ist nichts übrig; fügen Sie Aufnahmen anderer Personen hinzu und legen Sie den Datensatz neu an.</translation>
    </message>
    <message>
        <source>Nothing is left of the recordings that tune; how much is kept is not tried on this machine.</source>
        <translation>Von den Aufnahmen zum Abstimmen ist nichts übrig; wie viel behalten wird, ist an diesem Gerät nicht geprüft.</translation>
    </message>
    <message>
        <source>Nothing is left of the recordings that are held out, so no honest comparison is possible; add recordings of other persons, and make it again.</source>
        <translation>Von den zurückgehaltenen Aufnahmen ist nichts übrig, ein ehrlicher Vergleich ist also nicht möglich; fügen Sie Aufnahmen anderer Personen hinzu und legen Sie den Datensatz neu an.</translation>
    </message>
    <message>
        <source>The present model could not look for needles, so no frame is taken. {why} Check the plugin {id} and its model, then begin again.</source>
        <translation>Das jetzige Modell konnte nicht nach Nadeln sehen, daher wird kein Bild genommen. {why} Prüfen Sie das Plugin {id} und sein Modell und beginnen Sie dann neu.</translation>
    </message>
    <message>
        <source>{title} is {subject} in the library and stays so; the folder's {other} is not taken.</source>
        <translation>{title} ist in der Bibliothek {subject} und bleibt es; {other} aus dem Ordner wird nicht übernommen.</translation>
    </message>
    <message>
        <source>{title} is left out: on {sure} of {looked} frames the present model is sure of a needle's tip. Look at it; if it shows a needle, label it instead.</source>
        <translation>{title} bleibt weg: Auf {sure} von {looked} Bildern ist sich das jetzige Modell einer Nadelspitze sicher. Sehen Sie sie an; zeigt sie eine Nadel, beschriften Sie sie stattdessen.</translation>
    </message>
    <message>
        <source>1 frame at which the present model is sure of a needle's tip, and {beside} beside them, are left out.</source>
        <translation>1 Bild, auf dem sich das jetzige Modell einer Nadelspitze sicher ist, und {beside} daneben bleiben weg.</translation>
    </message>
    <message>
        <source>{count} frames at which the present model is sure of a needle's tip, and {beside} beside them, are left out.</source>
        <translation>{count} Bilder, auf denen sich das jetzige Modell einer Nadelspitze sicher ist, und {beside} daneben bleiben weg.</translation>
    </message>
    <message>
        <source>Looks at the recordings</source>
        <translation>Sieht die Aufnahmen durch</translation>
    </message>
    <message>
        <source>Takes frames of the recordings</source>
        <translation>Nimmt Bilder der Aufnahmen</translation>
    </message>
    <message>
        <source>Draws needles into the recordings</source>
        <translation>Zeichnet Nadeln in die Aufnahmen</translation>
    </message>
    <message>
        <source>Recordings that show no needle</source>
        <translation>Aufnahmen, die keine Nadel zeigen</translation>
    </message>
    <message>
        <source>Nothing is labelled: needles are drawn into their frames. Choose them below.</source>
        <translation>Nichts ist beschriftet: In ihre Bilder werden Nadeln gezeichnet. Wählen Sie sie unten.</translation>
    </message>
    <message>
        <source>No recording in the library yet. Add files, or a folder with one folder for each person.</source>
        <translation>Noch keine Aufnahme in der Bibliothek. Fügen Sie Dateien hinzu oder einen Ordner mit je einem Ordner für jede Person.</translation>
    </message>
    <message>
        <source>Add files</source>
        <translation>Dateien hinzufügen</translation>
    </message>
    <message>
        <source>Add a folder</source>
        <translation>Ordner hinzufügen</translation>
    </message>
    <message>
        <source>Tick all</source>
        <translation>Alle ankreuzen</translation>
    </message>
    <message>
        <source>I have looked through the chosen recordings: none of them shows a needle or another instrument.</source>
        <translation>Ich habe die gewählten Aufnahmen durchgesehen: Keine zeigt eine Nadel oder ein anderes Instrument.</translation>
    </message>
    <message>
        <source>A needle among them would be learnt as tissue. Frames at which the model in use is sure of a tip are left out and counted; a needle that it does not see it cannot leave out.</source>
        <translation>Eine Nadel darunter würde als Gewebe gelernt. Bilder, auf denen sich das Modell in Gebrauch einer Spitze sicher ist, bleiben weg und werden gezählt; eine Nadel, die es nicht sieht, kann es nicht weglassen.</translation>
    </message>
    <message>
        <source>{title}: {count} frames</source>
        <translation>{title}: {count} Bilder</translation>
    </message>
    <message>
        <source>Person, by a code</source>
        <translation>Person, als Kürzel</translation>
    </message>
    <message>
        <source>Person of {title}, by a code</source>
        <translation>Person von {title}, als Kürzel</translation>
    </message>
    <message>
        <source>Add recordings without a needle</source>
        <translation>Aufnahmen ohne Nadel hinzufügen</translation>
    </message>
    <message>
        <source>Add a folder with one folder for each person</source>
        <translation>Ordner mit je einem Ordner für jede Person hinzufügen</translation>
    </message>
    <message>
        <source>Tick the recordings of this machine that show no needle.</source>
        <translation>Kreuzen Sie die Aufnahmen dieses Geräts an, die keine Nadel zeigen.</translation>
    </message>
    <message>
        <source>State that none of the chosen recordings shows a needle.</source>
        <translation>Bestätigen Sie, dass keine der gewählten Aufnahmen eine Nadel zeigt.</translation>
    </message>
    <message>
        <source>The part that teaches has {frames} frames and needs {least}, {more} more: {needs}.</source>
        <translation>Der Teil, aus dem gelernt wird, hat {frames} Bilder und braucht {least}, {more} mehr: {needs}.</translation>
    </message>
    <message>
        <source>The comparison has drawn needles: it cannot tell how real ones are found.</source>
        <translation>Der Vergleich hat gezeichnete Nadeln: Er kann nicht sagen, wie echte gefunden werden.</translation>
    </message>
    <message>
        <source>Chosen: up to {what}. The model in use has not looked at them yet: what it takes for a needle is left out when you press Start.</source>
        <translation>Gewählt: bis zu {what}. Das Modell in Gebrauch hat sie noch nicht angesehen: Was es für eine Nadel hält, bleibt weg, wenn Sie Beginnen drücken.</translation>
    </message>
    <message>
        <source>Chosen: up to {what}. The model in use has looked at {seen} of {count} recordings: at the others it looks when you press Start.</source>
        <translation>Gewählt: bis zu {what}. Das Modell in Gebrauch hat {seen} von {count} Aufnahmen angesehen: Die anderen sieht es an, wenn Sie Beginnen drücken.</translation>
    </message>
    <message>
        <source>Chosen: {what}. The model in use has looked at them: what it takes for a needle is left out.</source>
        <translation>Gewählt: {what}. Das Modell in Gebrauch hat sie angesehen: Was es für eine Nadel hält, bleibt weg.</translation>
    </message>
    <message>
        <source>{recording}, left out: the model in use sees a needle</source>
        <translation>{recording}, bleibt weg: Das Modell in Gebrauch sieht eine Nadel</translation>
    </message>
    <message>
        <source>{count} frames without a needle of 1 recording, {subjects}</source>
        <translation>{count} Bilder ohne Nadel aus 1 Aufnahme, {subjects}</translation>
    </message>
    <message>
        <source>{count} frames without a needle of {recordings} recordings, {subjects}</source>
        <translation>{count} Bilder ohne Nadel aus {recordings} Aufnahmen, {subjects}</translation>
    </message>
    <message>
        <source>poor picture</source>
        <translation>schlechtes Bild</translation>
    </message>
    <message>
        <source>It is judged by itself. The picture is not good enough to rely on it.</source>
        <translation>Es wird für sich beurteilt. Das Bild ist nicht gut genug, um sich darauf zu verlassen.</translation>
    </message>
    <message>
        <source>Frames {first} to {last} are confirmed already; there is nothing to propose.</source>
        <translation>Die Bilder {first} bis {last} sind schon bestätigt; es gibt nichts vorzuschlagen.</translation>
    </message>
    <message>
        <source>What is labelled or proposed there stays.</source>
        <translation>Was dort beschriftet oder vorgeschlagen ist, bleibt.</translation>
    </message>
    <message>
        <source>{count} of the frames {first} to {last} stay open; what is labelled or proposed there stays.</source>
        <translation>{count} der Bilder {first} bis {last} bleiben offen; was dort beschriftet oder vorgeschlagen ist, bleibt.</translation>
    </message>
    <message>
        <source>There is only 1 subject, so whole cases are held out instead: the same person may be on both sides, and the comparison is weaker than it looks. Add recordings of a third subject, or state the subjects of the cases.</source>
        <translation>Es gibt nur 1 Person, daher werden ganze Fälle zurückgehalten: Dieselbe Person kann auf beiden Seiten sein, und der Vergleich ist schwächer, als er aussieht. Fügen Sie Aufnahmen einer dritten Person hinzu, oder geben Sie an, von wem die Fälle sind.</translation>
    </message>
    <message>
        <source>There are only {count} subjects, so whole cases are held out instead: the same person may be on both sides, and the comparison is weaker than it looks. Add recordings of a third subject, or state the subjects of the cases.</source>
        <translation>Es gibt nur {count} Personen, daher werden ganze Fälle zurückgehalten: Dieselbe Person kann auf beiden Seiten sein, und der Vergleich ist schwächer, als er aussieht. Fügen Sie Aufnahmen einer dritten Person hinzu, oder geben Sie an, von wem die Fälle sind.</translation>
    </message>
    <message>
        <source>There is only 1 subject and 1 case, so nothing can be held out and no honest comparison is possible. Add recordings of three subjects or more, or judge the model on another dataset.</source>
        <translation>Es gibt nur 1 Person und 1 Fall, daher kann nichts zurückgehalten werden und kein ehrlicher Vergleich ist möglich. Fügen Sie Aufnahmen von drei oder mehr Personen hinzu, oder beurteilen Sie das Modell an einem anderen Datensatz.</translation>
    </message>
    <message>
        <source>There is only 1 subject and {cases} cases, so nothing can be held out and no honest comparison is possible. Add recordings of three subjects or more, or judge the model on another dataset.</source>
        <translation>Es gibt nur 1 Person und {cases} Fälle, daher kann nichts zurückgehalten werden und kein ehrlicher Vergleich ist möglich. Fügen Sie Aufnahmen von drei oder mehr Personen hinzu, oder beurteilen Sie das Modell an einem anderen Datensatz.</translation>
    </message>
    <message>
        <source>There are only {count} subjects and {cases} cases, so nothing can be held out and no honest comparison is possible. Add recordings of three subjects or more, or judge the model on another dataset.</source>
        <translation>Es gibt nur {count} Personen und {cases} Fälle, daher kann nichts zurückgehalten werden und kein ehrlicher Vergleich ist möglich. Fügen Sie Aufnahmen von drei oder mehr Personen hinzu, oder beurteilen Sie das Modell an einem anderen Datensatz.</translation>
    </message>
    <message>
        <source>and</source>
        <translation>und</translation>
    </message>
    <message>
        <source>{case}: what {raters} have confirmed on {count} of {total} labelled frames is not settled in the consensus; no such frame goes out, not even in part. Settle it in Annotate, or name one rater by --rater.</source>
        <translation>{case}: was {raters} auf {count} von {total} beschrifteten Bildern bestätigt haben, ist im Konsens nicht entschieden; kein solches Bild geht hinaus, auch nicht teilweise. Entscheiden Sie es unter Beschriften, oder wählen Sie eine Person mit --rater.</translation>
    </message>
    <message>
        <source>{case}: what {rater} has confirmed on {count} of {total} labelled frames is not settled in the consensus; no such frame goes out, not even in part. Settle it in Annotate, or name one rater by --rater.</source>
        <translation>{case}: was {rater} auf {count} von {total} beschrifteten Bildern bestätigt hat, ist im Konsens nicht entschieden; kein solches Bild geht hinaus, auch nicht teilweise. Entscheiden Sie es unter Beschriften, oder wählen Sie eine Person mit --rater.</translation>
    </message>
    <message>
        <source>{case}: 1 flag or phase is not settled in the consensus and stays out by itself; all labelled frames go out.</source>
        <translation>{case}: 1 Merkmal oder Phase ist im Konsens nicht entschieden und bleibt für sich draußen; alle beschrifteten Bilder gehen hinaus.</translation>
    </message>
    <message>
        <source>{case}: {count} flags or phases are not settled in the consensus and stay out by themselves; all labelled frames go out.</source>
        <translation>{case}: {count} Merkmale oder Phasen sind im Konsens nicht entschieden und bleiben für sich draußen; alle beschrifteten Bilder gehen hinaus.</translation>
    </message>
    <message>
        <source>Label {thing}</source>
        <translation>{thing} beschriften</translation>
    </message>
    <message>
        <source>Flag {thing}</source>
        <translation>Merkmal {thing}</translation>
    </message>
    <message>
        <source>{thing} not visible</source>
        <translation>{thing} nicht sichtbar</translation>
    </message>
    <message>
        <source>Propose</source>
        <translation>Vorschlagen</translation>
    </message>
    <message>
        <source>Settle</source>
        <translation>Entscheiden</translation>
    </message>
    <message>
        <source>Settle as absent</source>
        <translation>Als fehlend entscheiden</translation>
    </message>
    <message>
        <source>Take over what agrees</source>
        <translation>Übernehmen, was übereinstimmt</translation>
    </message>
    <message>
        <source>disagree {mm} mm</source>
        <translation>uneinig, {mm} mm</translation>
    </message>
    <message>
        <source>tip moves {mm} mm at once</source>
        <translation>Spitze springt um {mm} mm</translation>
    </message>
    <message>
        <source>a tip without a needle</source>
        <translation>eine Spitze ohne Nadel</translation>
    </message>
    <message>
        <source>needle lost</source>
        <translation>Nadel verloren</translation>
    </message>
    <message>
        <source>needle left here</source>
        <translation>Nadel hier verlassen</translation>
    </message>
    <message>
        <source>teaches, disputed</source>
        <translation>lehrreich, strittig</translation>
    </message>
    <message>
        <source>teaches, doubted</source>
        <translation>lehrreich, unsicher</translation>
    </message>
    <message>
        <source>teaches, unlike</source>
        <translation>lehrreich, andersartig</translation>
    </message>
    <message>
        <source>teaches, a gap</source>
        <translation>lehrreich, eine Lücke</translation>
    </message>
    <message>
        <source>From frame {index} on the tracker follows something else than the needle: {why}.</source>
        <translation>Ab Bild {index} folgt der Verfolger etwas anderem als der Nadel: {why}.</translation>
    </message>
    <message>
        <source>From frame {index} on the tracker follows something else than the needle: {why}. Frames {first} to {last} stay open. Draw the needle on one of them, and what lies between is proposed.</source>
        <translation>Ab Bild {index} folgt der Verfolger etwas anderem als der Nadel: {why}. Die Bilder {first} bis {last} bleiben offen. Zeichnen Sie die Nadel auf einem davon, dann wird vorgeschlagen, was dazwischen liegt.</translation>
    </message>
    <message>
        <source>From frame {index} on the tracker follows another line than before: {why}.</source>
        <translation>Ab Bild {index} folgt der Verfolger einer anderen Linie als zuvor: {why}.</translation>
    </message>
    <message>
        <source>From frame {index} on the tracker follows another line than before: {why}. Which one is the needle, it does not know, so frames {first} to {last} stay open. Draw the needle on frame {start} and go on from there.</source>
        <translation>Ab Bild {index} folgt der Verfolger einer anderen Linie als zuvor: {why}. Welche davon die Nadel ist, weiß er nicht, deshalb bleiben die Bilder {first} bis {last} offen. Zeichnen Sie die Nadel auf Bild {start} und fahren Sie von dort fort.</translation>
    </message>
    <message>
        <source>On frame {index} the tracker finds something else than the needle that was drawn: {why}. Nothing is proposed. Draw it on one more frame, and what lies between is proposed.</source>
        <translation>Auf Bild {index} findet der Verfolger etwas anderes als die gezeichnete Nadel: {why}. Nichts wird vorgeschlagen. Zeichnen Sie sie auf einem weiteren Bild, dann wird vorgeschlagen, was dazwischen liegt.</translation>
    </message>
    <message>
        <source>The tracker does not see the needle that was drawn on frame {index}; it may be too faint for it. Nothing is proposed. Draw it on one more frame, and what lies between is proposed.</source>
        <translation>Der Verfolger sieht die Nadel nicht, die auf Bild {index} gezeichnet wurde; sie ist ihm vielleicht zu schwach. Nichts wird vorgeschlagen. Zeichnen Sie sie auf einem weiteren Bild, dann wird vorgeschlagen, was dazwischen liegt.</translation>
    </message>
    <message>
        <source>it lies across it, at {angle} degrees</source>
        <translation>es liegt quer dazu, um {angle} Grad</translation>
    </message>
    <message>
        <source>it lies {mm} mm beside it</source>
        <translation>es liegt {mm} mm daneben</translation>
    </message>
    <message>
        <source>the two hardly overlap</source>
        <translation>die beiden überdecken sich kaum</translation>
    </message>
    <message>
        <source>it turns by {angle} degrees at once</source>
        <translation>es dreht sich auf einmal um {angle} Grad</translation>
    </message>
    <message>
        <source>it lies {mm} mm beside the needle of before</source>
        <translation>es liegt {mm} mm neben der Nadel von zuvor</translation>
    </message>
    <message>
        <source>its tip moves by {mm} mm at once</source>
        <translation>die Spitze springt um {mm} mm</translation>
    </message>
    <message>
        <source>in {count} frames it slides off the needle</source>
        <translation>in {count} Bildern gleitet es von der Nadel ab</translation>
    </message>
    <message>
        <source>it lies {angle} degrees across the needle it began with</source>
        <translation>es liegt um {angle} Grad quer zu der Nadel, mit der es begann</translation>
    </message>
    <message>
        <source>{gap} apart</source>
        <translation>{gap} Abstand</translation>
    </message>
    <message>
        <source>{one} and {other} drew different kinds of things</source>
        <translation>{one} und {other} haben Verschiedenartiges gezeichnet</translation>
    </message>
    <message>
        <source>This is a blind reading: what others have labelled stays hidden until it is done.</source>
        <translation>Dies ist eine blinde Beurteilung: was andere beschriftet haben, bleibt verborgen, bis sie fertig ist.</translation>
    </message>
    <message>
        <source>{folder} is there already; name a new folder.</source>
        <translation>{folder} gibt es schon; nennen Sie einen neuen Ordner.</translation>
    </message>
    <message>
        <source>{folder} cannot be written: {reason}.</source>
        <translation>{folder} kann nicht geschrieben werden: {reason}.</translation>
    </message>
    <message>
        <source>There is no confirmed label of {rater} to export.</source>
        <translation>Von {rater} gibt es keine bestätigte Beschriftung zum Exportieren.</translation>
    </message>
    <message>
        <source>There is no mask to export; other shapes go into dataset, coco, yolo or csv.</source>
        <translation>Es gibt keine Maske zum Exportieren; andere Formen gehen in den Datensatz von Puncta, COCO, YOLO oder die Tabelle.</translation>
    </message>
    <message>
        <source>Frame {index} of {case} has another time than the frame that was labelled; the clip is another one.</source>
        <translation>Bild {index} von {case} hat eine andere Zeit als das Bild, das beschriftet wurde; es ist ein anderer Clip.</translation>
    </message>
    <message>
        <source>Frame {index} of {case} shows other pixels than the frame that was labelled; the clip is another one.</source>
        <translation>Bild {index} von {case} zeigt andere Bildpunkte als das Bild, das beschriftet wurde; es ist ein anderer Clip.</translation>
    </message>
    <message>
        <source>{case} has no frame {index}; the clip is another one.</source>
        <translation>{case} hat kein Bild {index}; es ist ein anderer Clip.</translation>
    </message>
    <message>
        <source>Nothing tells where the clip of {case} is; add it again by its file.</source>
        <translation>Nichts sagt, wo der Clip von {case} liegt; fügen Sie ihn mit seiner Datei noch einmal hinzu.</translation>
    </message>
    <message>
        <source>{thing} on frame {index} was changed meanwhile; nothing was overwritten, look at it again.</source>
        <translation>{thing} auf Bild {index} wurde inzwischen geändert; nichts wurde überschrieben, sehen Sie es noch einmal an.</translation>
    </message>
    <message>
        <source>the gesture it belongs to is not on the server</source>
        <translation>der Schritt, zu dem er gehört, liegt nicht auf dem Server</translation>
    </message>
    <message>
        <source>The store {place} cannot be used: {why}.</source>
        <translation>Der Speicher {place} kann nicht benutzt werden: {why}.</translation>
    </message>
    <message>
        <source>The store {place} cannot be opened: {why}.</source>
        <translation>Der Speicher {place} kann nicht geöffnet werden: {why}.</translation>
    </message>
    <message>
        <source>The store at {place} cannot be opened: {why}.</source>
        <translation>Der Speicher unter {place} kann nicht geöffnet werden: {why}.</translation>
    </message>
    <message>
        <source>The store at {place} cannot be used: {why}.</source>
        <translation>Der Speicher unter {place} kann nicht benutzt werden: {why}.</translation>
    </message>
    <message>
        <source>The store at {place} does not answer: {why}.</source>
        <translation>Der Speicher unter {place} antwortet nicht: {why}.</translation>
    </message>
    <message>
        <source>The server of the store at {place} does not allow '{name}' to do this; ask whoever runs it for the right to make and change its tables.</source>
        <translation>Der Server des Speichers unter {place} erlaubt '{name}' dies nicht; bitten Sie, wer ihn betreibt, um das Recht, Tabellen anzulegen und zu ändern.</translation>
    </message>
    <message>
        <source>its file or folder may not be written; change its permissions, or name another store</source>
        <translation>seine Datei oder sein Ordner darf nicht beschrieben werden; ändern Sie die Rechte, oder nennen Sie einen anderen Speicher</translation>
    </message>
    <message>
        <source>its file or folder may not be opened; change its permissions, or name another store</source>
        <translation>seine Datei oder sein Ordner darf nicht geöffnet werden; ändern Sie die Rechte, oder nennen Sie einen anderen Speicher</translation>
    </message>
    <message>
        <source>another program holds it; close that one, or try again</source>
        <translation>ein anderes Programm hält ihn fest; schließen Sie es, oder versuchen Sie es noch einmal</translation>
    </message>
    <message>
        <source>the disk is full; make room</source>
        <translation>der Datenträger ist voll; schaffen Sie Platz</translation>
    </message>
    <message>
        <source>its server does not let '{name}' in; check the name and the password in the address</source>
        <translation>sein Server lässt '{name}' nicht ein; prüfen Sie Namen und Passwort in der Adresse</translation>
    </message>
    <message>
        <source>its server has no database '{name}'; check the address, or ask whoever runs the server</source>
        <translation>sein Server hat keine Datenbank '{name}'; prüfen Sie die Adresse, oder fragen Sie, wer den Server betreibt</translation>
    </message>
    <message>
        <source>its server has no user '{name}'; check the address, or ask whoever runs the server</source>
        <translation>sein Server kennt '{name}' nicht; prüfen Sie die Adresse, oder fragen Sie, wer den Server betreibt</translation>
    </message>
    <message>
        <source>no computer called '{name}' is known here; check the name, or the network</source>
        <translation>ein Rechner namens '{name}' ist hier nicht bekannt; prüfen Sie den Namen oder das Netz</translation>
    </message>
    <message>
        <source>nothing listens at {place}; start the server there, or check the address</source>
        <translation>unter {place} hört niemand zu; starten Sie dort den Server, oder prüfen Sie die Adresse</translation>
    </message>
    <message>
        <source>{place} stays silent; check the network, or the address</source>
        <translation>{place} schweigt; prüfen Sie das Netz oder die Adresse</translation>
    </message>
    <message>
        <source>The store is of a newer Puncta (form {theirs}, this one knows {ours}); update Puncta.</source>
        <translation>Der Speicher stammt von einem neueren Puncta (Form {theirs}, dieses kennt {ours}); aktualisieren Sie Puncta.</translation>
    </message>
    <message>
        <source>1 frame at which the present model is sure of a needle's tip, and {beside} beside them, are left out: {which}.</source>
        <translation>1 Bild, auf dem sich das jetzige Modell einer Nadelspitze sicher ist, und {beside} daneben bleiben weg: {which}.</translation>
    </message>
    <message>
        <source>{count} frames at which the present model is sure of a needle's tip, and {beside} beside them, are left out: {which}.</source>
        <translation>{count} Bilder, auf denen sich das jetzige Modell einer Nadelspitze sicher ist, und {beside} daneben bleiben weg: {which}.</translation>
    </message>
    <message>
        <source>{title} is left out: it is the same recording as {other}, which counts once.</source>
        <translation>{title} bleibt weg: Es ist dieselbe Aufnahme wie {other}, die einmal zählt.</translation>
    </message>
    <message>
        <source>{title} is left out: it has fewer than {least} frames and is no single picture.</source>
        <translation>{title} bleibt weg: Die Aufnahme hat weniger als {least} Bilder und ist kein einzelnes Bild.</translation>
    </message>
    <message>
        <source>{title} is in the library more than once and counts once.</source>
        <translation>{title} ist mehrmals in der Bibliothek und zählt einmal.</translation>
    </message>
    <message>
        <source>The part that teaches has up to {frames} frames and needs {least}, {more} more: {needs}.</source>
        <translation>Der Teil, aus dem gelernt wird, hat bis zu {frames} Bilder und braucht {least}, {more} mehr: {needs}.</translation>
    </message>
    <message>
        <source>up to {count} frames</source>
        <translation>bis zu {count} Bilder</translation>
    </message>
    <message>
        <source>Recordings that show no needle can teach without any label, so far for {plugin} alone. Choose that above to see how.</source>
        <translation>Aus Aufnahmen, die keine Nadel zeigen, lässt sich ohne jede Beschriftung lernen, bisher allein für {plugin}. Wählen Sie das oben, um zu sehen, wie.</translation>
    </message>
    <message>
        <source>Paint the shaft as far as it shows on this very frame; what is only known to be there belongs to no mask.</source>
        <translation>Malen Sie den Schaft so weit aus, wie er auf genau diesem Bild zu sehen ist; was man nur dort weiß, gehört in keine Maske.</translation>
    </message>
    <message>
        <source>Leave reverberations below the shaft and bright tissue beside it out.</source>
        <translation>Lassen Sie Wiederholungsechos unter dem Schaft und helles Gewebe daneben weg.</translation>
    </message>
    <message>
        <source>Small gaps of a few pixels along the shaft are painted over; longer ones stay open.</source>
        <translation>Kleine Lücken von wenigen Bildpunkten entlang des Schafts werden übermalt; längere bleiben offen.</translation>
    </message>
    <message>
        <source>Mark the tip on its own: it may show where the shaft does not, and the other way round.</source>
        <translation>Markieren Sie die Spitze für sich: sie kann zu sehen sein, wo der Schaft es nicht ist, und umgekehrt.</translation>
    </message>
    <message>
        <source>Say out of plane where the needle has left the picture's plane; say absent where none is in the tissue.</source>
        <translation>Sagen Sie außerhalb der Ebene, wo die Nadel die Bildebene verlassen hat; sagen Sie fehlt, wo keine im Gewebe ist.</translation>
    </message>
    <message>
        <source>Outline the lesion once every ten frames or where it moves, and let it be carried between.</source>
        <translation>Umranden Sie die Läsion alle zehn Bilder oder wo sie sich bewegt, und lassen Sie sie dazwischen fortführen.</translation>
    </message>
    <message>
        <source>The far end of the bevel. The box is centred on it, 8.8 % x 4.0 % of the ultrasound region.</source>
        <translation>Das vordere Ende des Schliffs. Der Kasten liegt mittig darauf, 8,8 % x 4,0 % des Ultraschallbereichs.</translation>
    </message>
    <message>
        <source>The shaft as far as it shows. The box is the hull of the visible shaft.</source>
        <translation>Der Schaft, so weit er zu sehen ist. Der Kasten umschließt den sichtbaren Schaft.</translation>
    </message>
    <message>
        <source>Lesion</source>
        <translation>Läsion</translation>
    </message>
    <message>
        <source>The lesion that is to be sampled, to its outer edge.</source>
        <translation>Die Läsion, aus der die Probe kommen soll, bis zu ihrem äußeren Rand.</translation>
    </message>
    <message>
        <source>Approach</source>
        <translation>Annäherung</translation>
    </message>
    <message>
        <source>Probe on the breast, no needle in the tissue.</source>
        <translation>Sonde auf der Brust, keine Nadel im Gewebe.</translation>
    </message>
    <message>
        <source>Advance</source>
        <translation>Vorschub</translation>
    </message>
    <message>
        <source>From the needle's entry to its rest before the lesion.</source>
        <translation>Vom Einstich der Nadel bis zu ihrem Halt vor der Läsion.</translation>
    </message>
    <message>
        <source>Before the shot</source>
        <translation>Vor dem Schuss</translation>
    </message>
    <message>
        <source>The needle rests with its tip before the lesion.</source>
        <translation>Die Nadel ruht mit der Spitze vor der Läsion.</translation>
    </message>
    <message>
        <source>After the shot</source>
        <translation>Nach dem Schuss</translation>
    </message>
    <message>
        <source>From the shot to the start of the withdrawal.</source>
        <translation>Vom Schuss bis zum Beginn des Rückzugs.</translation>
    </message>
    <message>
        <source>Withdraw</source>
        <translation>Rückzug</translation>
    </message>
    <message>
        <source>The needle moves back, until it has left the tissue.</source>
        <translation>Die Nadel geht zurück, bis sie das Gewebe verlassen hat.</translation>
    </message>
    <message>
        <source>Judge each flag by itself, on this very frame; hold a flag's key while the clip plays, with Shift for absent.</source>
        <translation>Beurteilen Sie jedes Merkmal für sich, auf genau diesem Bild; halten Sie die Taste eines Merkmals, während der Clip läuft, mit Umschalt für fehlt.</translation>
    </message>
    <message>
        <source>Poor quality does not make cord and CSF absent: a frame a little beside the midline may show either, and then it is present.</source>
        <translation>Schlechte Qualität macht Rückenmark und Liquor nicht fehlend: ein Bild etwas neben der Mittellinie kann beides zeigen, und dann ist es vorhanden.</translation>
    </message>
    <message>
        <source>What this frame does not show is absent, not unknown: a canal that is shadowed, too narrow or out of the picture has neither cord nor CSF.</source>
        <translation>Was dieses Bild nicht zeigt, fehlt und ist nicht unbekannt: ein Kanal, der im Schatten liegt, zu schmal oder nicht im Bild ist, hat weder Rückenmark noch Liquor.</translation>
    </message>
    <message>
        <source>Cord is the cord or the conus. Strands below the conus are cauda equina and not cord.</source>
        <translation>Rückenmark ist das Mark oder der Konus. Stränge unterhalb des Konus sind Cauda equina und kein Rückenmark.</translation>
    </message>
    <message>
        <source>CSF needs a dark space of a millimetre or more round cord or roots; a shadow behind bone is not CSF.</source>
        <translation>Liquor braucht einen dunklen Raum von mindestens einem Millimeter um Mark oder Wurzeln; ein Schatten hinter Knochen ist kein Liquor.</translation>
    </message>
    <message>
        <source>Not assessed is for frames that you have not judged; it never means absent.</source>
        <translation>Nicht beurteilt gilt für Bilder, die Sie nicht beurteilt haben; es heißt nie fehlt.</translation>
    </message>
    <message>
        <source>These rules are ours; no published guideline defines the three flags.</source>
        <translation>Diese Regeln sind unsere; keine veröffentlichte Leitlinie legt die drei Merkmale fest.</translation>
    </message>
    <message>
        <source>The canal is resolved: a dura line shows, the probe is on the midline, gain is neither saturated nor too low, the picture is not blurred.</source>
        <translation>Der Kanal ist aufgelöst: eine Duralinie ist zu sehen, die Sonde liegt auf der Mittellinie, die Verstärkung ist weder übersteuert noch zu niedrig, das Bild ist nicht verwischt.</translation>
    </message>
    <message>
        <source>Spinal cord</source>
        <translation>Rückenmark</translation>
    </message>
    <message>
        <source>Cord or conus is in view, with its central echo or both pial lines. Cauda equina alone is not cord.</source>
        <translation>Mark oder Konus ist im Bild, mit dem Zentralecho oder beiden Pialinien. Cauda equina allein ist kein Rückenmark.</translation>
    </message>
    <message>
        <source>A dark subarachnoid space of at least 1 mm is in view and not in a shadow.</source>
        <translation>Ein dunkler Subarachnoidalraum von mindestens 1 mm ist im Bild und liegt nicht im Schatten.</translation>
    </message>
    <message>
        <source>Needle tip and axis</source>
        <translation>Nadelspitze und Achse</translation>
    </message>
    <message>
        <source>Mark the far end of the bevel, not the brightest spot of the shaft and not its reverberations.</source>
        <translation>Markieren Sie das vordere Ende des Schliffs, nicht die hellste Stelle des Schafts und nicht seine Wiederholungsechos.</translation>
    </message>
    <message>
        <source>Step some frames back and forth first: the tip is what moves with the needle and ends it.</source>
        <translation>Gehen Sie zuerst einige Bilder vor und zurück: die Spitze ist, was sich mit der Nadel bewegt und sie beendet.</translation>
    </message>
    <message>
        <source>Where the tip is guessed from the movement of tissue alone, mark it and say uncertain.</source>
        <translation>Wo die Spitze nur aus der Bewegung des Gewebes erraten wird, markieren Sie sie und sagen unsicher.</translation>
    </message>
    <message>
        <source>Say out of plane where the shaft shows and its end does not belong to the tip; say shadowed behind bone or air.</source>
        <translation>Sagen Sie außerhalb der Ebene, wo der Schaft zu sehen ist und sein Ende nicht zur Spitze gehört; sagen Sie verschattet hinter Knochen oder Luft.</translation>
    </message>
    <message>
        <source>Say absent only where no needle is in the tissue of this picture.</source>
        <translation>Sagen Sie fehlt nur, wo in diesem Bild keine Nadel im Gewebe ist.</translation>
    </message>
    <message>
        <source>Draw the axis along the middle of the shaft's upper edge, from the edge of the region to the tip.</source>
        <translation>Zeichnen Sie die Achse entlang der Mitte der oberen Schaftkante, vom Rand des Bereichs bis zur Spitze.</translation>
    </message>
    <message>
        <source>Needle axis</source>
        <translation>Nadelachse</translation>
    </message>
    <message>
        <source>The line of the shaft from where it enters the ultrasound region to the tip.</source>
        <translation>Die Linie des Schafts von seinem Eintritt in den Ultraschallbereich bis zur Spitze.</translation>
    </message>
    <message>
        <source>No needle</source>
        <translation>Keine Nadel</translation>
    </message>
    <message>
        <source>No needle is in the tissue.</source>
        <translation>Keine Nadel ist im Gewebe.</translation>
    </message>
    <message>
        <source>The needle moves forward.</source>
        <translation>Die Nadel geht vor.</translation>
    </message>
    <message>
        <source>The needle rests, for example while something is injected.</source>
        <translation>Die Nadel ruht, zum Beispiel während etwas eingespritzt wird.</translation>
    </message>
    <message>
        <source>The needle moves back.</source>
        <translation>Die Nadel geht zurück.</translation>
    </message>
    <message>
        <source>What the needle is to reach, for example a mass or a nerve.</source>
        <translation>Was die Nadel erreichen soll, zum Beispiel ein Knoten oder ein Nerv.</translation>
    </message>
    <message>
        <source>Which models are in use cannot be read any more, so what runs goes on. {why}</source>
        <translation>Welche Modelle in Gebrauch sind, lässt sich nicht mehr lesen; was läuft, läuft weiter. {why}</translation>
    </message>
    <message>
        <source>Changed outside this window. {changes}</source>
        <translation>Außerhalb dieses Fensters geändert. {changes}</translation>
    </message>
    <message>
        <source>It has made {model}, which is not among the models here.</source>
        <translation>Es hat {model} ergeben, das hier nicht unter den Modellen ist.</translation>
    </message>
    <message>
        <source>{model} is there and in use.</source>
        <translation>{model} ist da und in Gebrauch.</translation>
    </message>
    <message>
        <source>Remove this training with {what}? It has made no model yet.</source>
        <translation>Dieses Training mit {what} entfernen? Ein Modell hat es noch nicht ergeben.</translation>
    </message>
    <message>
        <source>Remove this training with {what}? Its model is gone already, so nothing of it stays.</source>
        <translation>Dieses Training mit {what} entfernen? Sein Modell ist schon nicht mehr da, es bleibt also nichts davon.</translation>
    </message>
    <message>
        <source>Remove this training with {what}? The model it made stays, with this comparison on its page.</source>
        <translation>Dieses Training mit {what} entfernen? Sein Modell bleibt, und dieser Vergleich steht auf dessen Seite.</translation>
    </message>
    <message>
        <source>On held out frames</source>
        <translation>An zurückgehaltenen Bildern</translation>
    </message>
    <message>
        <source>No choice of a model counts now, and the plugin has none that it could use.</source>
        <translation>Derzeit gilt keine Wahl eines Modells, und das Plugin hat keines, das es nehmen könnte.</translation>
    </message>
    <message>
        <source>The plugin brings no model, so the newest one made or installed here is at work.</source>
        <translation>Das Plugin bringt kein Modell mit; es arbeitet das neueste, das hier entstanden oder installiert ist.</translation>
    </message>
    <message>
        <source>The models look at the held out frames.</source>
        <translation>Die Modelle sehen sich die zurückgehaltenen Bilder an.</translation>
    </message>
    <message>
        <source>what it went on from</source>
        <translation>davon ging es aus</translation>
    </message>
    <message>
        <source>Beside</source>
        <translation>Neben</translation>
    </message>
    <message>
        <source>With {model} it could not be compared: {why}</source>
        <translation>Mit {model} ließ es sich nicht vergleichen: {why}</translation>
    </message>
    <message>
        <source>The new model is better in the only figure.</source>
        <translation>Das neue Modell ist in der einzigen Zahl besser.</translation>
    </message>
    <message>
        <source>The new model is worse in the only figure.</source>
        <translation>Das neue Modell ist in der einzigen Zahl schlechter.</translation>
    </message>
    <message>
        <source>Of {all} figures the new model is better in {better} and worse in {worse}. Look at each.</source>
        <translation>Von {all} Zahlen ist das neue Modell in {better} besser und in {worse} schlechter. Sehen Sie jede an.</translation>
    </message>
    <message>
        <source>It is better than {model} in {count} of {all} figures and worse in none.</source>
        <translation>Es ist in {count} von {all} Zahlen besser als {model} und in keiner schlechter.</translation>
    </message>
    <message>
        <source>It is better than {model} in the only figure.</source>
        <translation>Es ist in der einzigen Zahl besser als {model}.</translation>
    </message>
    <message>
        <source>It is worse than {model} in {count} of {all} figures and better in none.</source>
        <translation>Es ist in {count} von {all} Zahlen schlechter als {model} und in keiner besser.</translation>
    </message>
    <message>
        <source>It is worse than {model} in the only figure.</source>
        <translation>Es ist in der einzigen Zahl schlechter als {model}.</translation>
    </message>
    <message>
        <source>Beside {model} it is worse in {worse} of {all} figures and better in {better}.</source>
        <translation>Neben {model} ist es in {worse} von {all} Zahlen schlechter und in {better} besser.</translation>
    </message>
    <message>
        <source>No figure tells it apart from {model}.</source>
        <translation>Keine Zahl unterscheidet es von {model}.</translation>
    </message>
    <message>
        <source>No choice of a model for {plugin} counts, so there is nothing to take back.</source>
        <translation>Für {plugin} gilt keine Wahl eines Modells; es gibt nichts zurückzunehmen.</translation>
    </message>
    <message>
        <source>{file} does not exist, check the name and the folder.</source>
        <translation>{file} gibt es nicht; prüfen Sie Namen und Ordner.</translation>
    </message>
    <message>
        <source>{file} does not exist, check the name and the folder, or did you mean {address}.</source>
        <translation>{file} gibt es nicht; prüfen Sie Namen und Ordner. Meinten Sie {address}?</translation>
    </message>
    <message>
        <source>{file} does not exist any more, open the folder again.</source>
        <translation>{file} gibt es nicht mehr; öffnen Sie den Ordner noch einmal.</translation>
    </message>
    <message>
        <source>{file} cannot be read: permission denied, change its permissions.</source>
        <translation>{file} lässt sich nicht lesen: keine Berechtigung; ändern Sie die Rechte.</translation>
    </message>
    <message>
        <source>{file} cannot be read: permission denied, change its permissions or copy it.</source>
        <translation>{file} lässt sich nicht lesen: keine Berechtigung; ändern Sie die Rechte oder kopieren Sie die Datei.</translation>
    </message>
    <message>
        <source>{file} cannot be read: permission denied, change the permissions of its folder.</source>
        <translation>{file} lässt sich nicht lesen: keine Berechtigung; ändern Sie die Rechte des Ordners.</translation>
    </message>
    <message>
        <source>{file} cannot be read: {reason}, copy it to a disk first.</source>
        <translation>{file} lässt sich nicht lesen ({reason}); kopieren Sie die Datei zuerst auf ein Laufwerk.</translation>
    </message>
    <message>
        <source>{file} cannot be read at frame {index}: {why}.</source>
        <translation>{file} lässt sich bei Bild {index} nicht lesen: {why}.</translation>
    </message>
    <message>
        <source>{file} cannot be shown: {why}; choose another copy of the file.</source>
        <translation>{file} lässt sich nicht zeigen: {why}; wählen Sie eine andere Kopie der Datei.</translation>
    </message>
    <message>
        <source>{file} is empty, copy it again from where it came.</source>
        <translation>{file} ist leer; kopieren Sie die Datei noch einmal von ihrer Quelle.</translation>
    </message>
    <message>
        <source>{file} is closed, open it again.</source>
        <translation>{file} ist geschlossen; öffnen Sie die Datei noch einmal.</translation>
    </message>
    <message>
        <source>{file} is neither a file nor a folder, choose one of these.</source>
        <translation>{file} ist weder Datei noch Ordner; wählen Sie eines davon.</translation>
    </message>
    <message>
        <source>{file} is no name a file can have, check it.</source>
        <translation>{file} kann keine Datei heißen; prüfen Sie den Namen.</translation>
    </message>
    <message>
        <source>{file} has an address of an unknown kind, give a file, a folder or sim:breast.</source>
        <translation>{file} ist eine Adresse unbekannter Art; nennen Sie eine Datei, einen Ordner oder sim:breast.</translation>
    </message>
    <message>
        <source>{file} is no picture sequence the program knows, choose a DICOM file, a video, an .mha, .mhd or .nrrd file, or a folder of pictures.</source>
        <translation>{file} ist keine Bildfolge, die das Programm kennt; wählen Sie eine DICOM-Datei, ein Video, eine Datei .mha, .mhd oder .nrrd oder einen Ordner mit Bildern.</translation>
    </message>
    <message>
        <source>No source is named, give a file, a folder of pictures or an address such as sim:breast.</source>
        <translation>Es ist keine Quelle genannt; nennen Sie eine Datei, einen Ordner mit Bildern oder eine Adresse wie sim:breast.</translation>
    </message>
    <message>
        <source>Streams of the kind {kind} are not read; let the sender use rtsp:// or udp:// (MPEG-TS) instead.</source>
        <translation>Ströme der Art {kind} werden nicht gelesen; lassen Sie den Sender rtsp:// oder udp:// (MPEG-TS) verwenden.</translation>
    </message>
    <message>
        <source>{file} has the frames 0 to {last}; frame {index} does not exist, choose one of these.</source>
        <translation>{file} hat die Bilder 0 bis {last}; Bild {index} gibt es nicht, wählen Sie eines davon.</translation>
    </message>
    <message>
        <source>{file} is not a video that can be read, or it is damaged; choose another file or copy it again.</source>
        <translation>{file} ist kein lesbares Video oder beschädigt; wählen Sie eine andere Datei oder kopieren Sie sie noch einmal.</translation>
    </message>
    <message>
        <source>{file} holds no picture that can be decoded, choose another file.</source>
        <translation>{file} enthält kein Bild, das sich entschlüsseln lässt; wählen Sie eine andere Datei.</translation>
    </message>
    <message>
        <source>{file} holds no video stream, choose a file with pictures.</source>
        <translation>{file} enthält keinen Videostrom; wählen Sie eine Datei mit Bildern.</translation>
    </message>
    <message>
        <source>{file} is damaged near the beginning: what comes before it plays, the rest cannot be read; get another copy.</source>
        <translation>{file} ist nahe dem Anfang beschädigt: Was davor liegt, wird gezeigt, der Rest ist nicht lesbar; besorgen Sie eine andere Kopie.</translation>
    </message>
    <message>
        <source>{file} is damaged near frame {index}: what comes before it plays, the rest cannot be read; get another copy.</source>
        <translation>{file} ist bei Bild {index} beschädigt: Was davor liegt, wird gezeigt, der Rest ist nicht lesbar; besorgen Sie eine andere Kopie.</translation>
    </message>
    <message>
        <source>{folder} holds no pictures ({kinds}), choose a folder with pictures.</source>
        <translation>{folder} enthält keine Bilder ({kinds}); wählen Sie einen Ordner mit Bildern.</translation>
    </message>
    <message>
        <source>{file} is not a picture that can be read, or it is damaged; remove or replace it.</source>
        <translation>{file} ist kein lesbares Bild oder beschädigt; entfernen oder ersetzen Sie die Datei.</translation>
    </message>
    <message>
        <source>{file} has {size} pixels but {other} has {width} x {height}; put pictures of one size into a folder of their own.</source>
        <translation>{file} hat {size} Pixel, {other} aber {width} x {height}; legen Sie Bilder gleicher Größe in einen eigenen Ordner.</translation>
    </message>
    <message>
        <source>{file} is not a DICOM file that can be read, or it is damaged; choose another file.</source>
        <translation>{file} ist keine lesbare DICOM-Datei oder beschädigt; wählen Sie eine andere Datei.</translation>
    </message>
    <message>
        <source>{file} is a DICOM file without a picture, choose one that holds images.</source>
        <translation>{file} ist eine DICOM-Datei ohne Bild; wählen Sie eine mit Bildern.</translation>
    </message>
    <message>
        <source>{file} is cut off: not one whole frame is there, get a complete copy.</source>
        <translation>{file} ist abgeschnitten: Nicht ein ganzes Bild ist da; besorgen Sie eine vollständige Kopie.</translation>
    </message>
    <message>
        <source>{file} is cut off: only {count} of its {stated} frames are there, get a complete copy.</source>
        <translation>{file} ist abgeschnitten: Nur {count} der {stated} Bilder sind da; besorgen Sie eine vollständige Kopie.</translation>
    </message>
    <message>
        <source>{file} holds MPEG video inside DICOM, which is not supported yet; export it as mp4.</source>
        <translation>{file} enthält MPEG-Video in DICOM, das noch nicht gelesen wird; exportieren Sie es als mp4.</translation>
    </message>
    <message>
        <source>{file} says that it is compressed but its picture is not; choose another copy.</source>
        <translation>{file} nennt sich komprimiert, ihr Bild ist es nicht; wählen Sie eine andere Kopie.</translation>
    </message>
    <message>
        <source>{file} does not state {keyword}, so its picture cannot be read; choose another file.</source>
        <translation>{file} nennt {keyword} nicht, so lässt sich ihr Bild nicht lesen; wählen Sie eine andere Datei.</translation>
    </message>
    <message>
        <source>{file} states a picture of {columns} x {rows} pixels, which cannot be; choose another file.</source>
        <translation>{file} nennt ein Bild von {columns} x {rows} Pixeln, was nicht sein kann; wählen Sie eine andere Datei.</translation>
    </message>
    <message>
        <source>{file} stores {samples} samples of {allocated} bits a pixel, which is not supported; convert it to 8 or 16 bits.</source>
        <translation>{file} speichert {samples} Werte zu {allocated} Bit je Pixel, was nicht gelesen wird; wandeln Sie sie in 8 oder 16 Bit um.</translation>
    </message>
    <message>
        <source>{file} stores its colours uncompressed in 4:2:0, which is not supported; convert it.</source>
        <translation>{file} speichert Farben unkomprimiert in 4:2:0, was nicht gelesen wird; wandeln Sie sie um.</translation>
    </message>
    <message>
        <source>{file} stores colours for pairs of pixels but has an odd width; choose another copy.</source>
        <translation>{file} speichert Farben für Paare von Pixeln, hat aber eine ungerade Breite; wählen Sie eine andere Kopie.</translation>
    </message>
    <message>
        <source>a compressed frame is damaged; open another copy of the file</source>
        <translation>ein komprimiertes Bild ist beschädigt; öffnen Sie eine andere Kopie der Datei</translation>
    </message>
    <message>
        <source>it uses 12-bit lossy JPEG, which is not supported; convert it to JPEG 2000 or uncompressed</source>
        <translation>sie verwendet verlustbehaftetes JPEG mit 12 Bit, das nicht gelesen wird; wandeln Sie sie in JPEG 2000 oder unkomprimiert um</translation>
    </message>
    <message>
        <source>its lossless JPEG uses an unusual layout ({layout}) that is not supported; convert it</source>
        <translation>ihr verlustfreies JPEG hat einen unüblichen Aufbau ({layout}), der nicht gelesen wird; wandeln Sie sie um</translation>
    </message>
    <message>
        <source>its {bits}-bit cells are not supported; convert it to 8 or 16 bits</source>
        <translation>ihre Zellen von {bits} Bit werden nicht gelesen; wandeln Sie sie in 8 oder 16 Bit um</translation>
    </message>
    <message>
        <source>its colour palette is damaged</source>
        <translation>ihre Farbtafel ist beschädigt</translation>
    </message>
    <message>
        <source>its colour palette is missing</source>
        <translation>ihre Farbtafel fehlt</translation>
    </message>
    <message>
        <source>its colour palette is empty</source>
        <translation>ihre Farbtafel ist leer</translation>
    </message>
    <message>
        <source>{file} has no complete MetaImage header, choose another file.</source>
        <translation>{file} hat keinen vollständigen MetaImage-Kopf; wählen Sie eine andere Datei.</translation>
    </message>
    <message>
        <source>{file} does not begin as an NRRD file does; it is damaged or of another kind, take another one.</source>
        <translation>{file} beginnt nicht wie eine NRRD-Datei; sie ist beschädigt oder von anderer Art, nehmen Sie eine andere.</translation>
    </message>
    <message>
        <source>{file} has a header that cannot be read, choose another file.</source>
        <translation>{file} hat einen Kopf, der sich nicht lesen lässt; wählen Sie eine andere Datei.</translation>
    </message>
    <message>
        <source>{file} stores its pixels as text, which is not supported; save it as binary data.</source>
        <translation>{file} speichert ihre Pixel als Text, was nicht gelesen wird; speichern Sie sie binär.</translation>
    </message>
    <message>
        <source>{file} stores its pixels as {coding}, which is not supported; save it with 8 or 16 bits.</source>
        <translation>{file} speichert ihre Pixel als {coding}, was nicht gelesen wird; speichern Sie sie mit 8 oder 16 Bit.</translation>
    </message>
    <message>
        <source>{file} stores its pixels as {coding}; save it as raw or gzip.</source>
        <translation>{file} speichert ihre Pixel als {coding}; speichern Sie sie als raw oder gzip.</translation>
    </message>
    <message>
        <source>{file} skips lines before its pixels, which is not supported; save it attached.</source>
        <translation>{file} überspringt Zeilen vor ihren Pixeln, was nicht gelesen wird; speichern Sie alles in einer Datei.</translation>
    </message>
    <message>
        <source>{file} spreads its pixels over many files, which is not supported; save it as one file.</source>
        <translation>{file} verteilt ihre Pixel auf viele Dateien, was nicht gelesen wird; speichern Sie sie als eine Datei.</translation>
    </message>
    <message>
        <source>{file} needs the file {other} beside it, copy that one too.</source>
        <translation>{file} braucht die Datei {other} daneben; kopieren Sie auch diese.</translation>
    </message>
    <message>
        <source>{file} is damaged: its pixels cannot be unpacked, copy it again.</source>
        <translation>{file} ist beschädigt: Ihre Pixel lassen sich nicht entpacken; kopieren Sie sie noch einmal.</translation>
    </message>
    <message>
        <source>{file} cannot be unpacked: {reason}, make room on the disk.</source>
        <translation>{file} lässt sich nicht entpacken ({reason}); schaffen Sie Platz auf dem Laufwerk.</translation>
    </message>
    <message>
        <source>{folder} holds no frame: {why}.</source>
        <translation>{folder} enthält kein Bild: {why}.</translation>
    </message>
    <message>
        <source>the recording ended before its first frame</source>
        <translation>die Aufnahme endete vor ihrem ersten Bild</translation>
    </message>
    <message>
        <source>{folder} is coded as {coding}, which this Puncta cannot read; update the program.</source>
        <translation>{folder} ist als {coding} kodiert, was dieses Puncta nicht lesen kann; erneuern Sie das Programm.</translation>
    </message>
    <message>
        <source>The session is cut off at frame {index}; get another copy.</source>
        <translation>Die Sitzung ist bei Bild {index} abgeschnitten; besorgen Sie eine andere Kopie.</translation>
    </message>
    <message>
        <source>Frame {index} of the session cannot be read: {reason}.</source>
        <translation>Bild {index} der Sitzung lässt sich nicht lesen: {reason}.</translation>
    </message>
    <message>
        <source>Camera {number} does not open; plug it in, close other programs that use it, or choose another ('puncta open --list' shows them).</source>
        <translation>Kamera {number} lässt sich nicht öffnen; stecken Sie sie an, schließen Sie andere Programme, die sie verwenden, oder wählen Sie eine andere (‚puncta open --list‘ zeigt sie).</translation>
    </message>
    <message>
        <source>Camera {number} is gone; see whether its plug sits and its machine is on.</source>
        <translation>Kamera {number} ist weg; sehen Sie nach, ob der Stecker sitzt und das Gerät an ist.</translation>
    </message>
    <message>
        <source>Camera {number} gives no picture; see whether its cable sits and its machine is on.</source>
        <translation>Kamera {number} liefert kein Bild; sehen Sie nach, ob das Kabel sitzt und das Gerät an ist.</translation>
    </message>
    <message>
        <source>The screen cannot be read any more; see whether it is locked or was changed.</source>
        <translation>Der Bildschirm lässt sich nicht mehr lesen; sehen Sie nach, ob er gesperrt ist oder geändert wurde.</translation>
    </message>
    <message>
        <source>The screen gives no picture; see whether it is locked.</source>
        <translation>Der Bildschirm liefert kein Bild; sehen Sie nach, ob er gesperrt ist.</translation>
    </message>
    <message>
        <source>The screen cannot be read here; allow Puncta to record the screen, then try again.</source>
        <translation>Der Bildschirm lässt sich hier nicht lesen; erlauben Sie Puncta, ihn aufzuzeichnen, und versuchen Sie es dann noch einmal.</translation>
    </message>
    <message>
        <source>A screen region needs an X11 screen; this session has none, use a capture device instead.</source>
        <translation>Ein Bildschirmausschnitt braucht einen X11-Bildschirm; diese Anmeldung hat keinen, verwenden Sie stattdessen ein Aufnahmegerät.</translation>
    </message>
    <message>
        <source>Screen regions need the package mss; install Puncta again or add mss to it.</source>
        <translation>Bildschirmausschnitte brauchen das Paket mss; installieren Sie Puncta noch einmal oder ergänzen Sie mss.</translation>
    </message>
    <message>
        <source>The region lies outside the screen, which is {width} x {height} pixels from {left},{top}; choose another one.</source>
        <translation>Der Ausschnitt liegt außerhalb des Bildschirms, der {width} x {height} Pixel ab {left},{top} hat; wählen Sie einen anderen.</translation>
    </message>
    <message>
        <source>The name {host} is not known in this network; check the address.</source>
        <translation>Der Name {host} ist in diesem Netz nicht bekannt; prüfen Sie die Adresse.</translation>
    </message>
    <message>
        <source>Nothing answers at {place}; start the sender there or check the address.</source>
        <translation>Unter {place} antwortet nichts; starten Sie dort den Sender oder prüfen Sie die Adresse.</translation>
    </message>
    <message>
        <source>{host} cannot be reached from here ({reason}); check cable, network and address.</source>
        <translation>{host} ist von hier nicht zu erreichen ({reason}); prüfen Sie Kabel, Netz und Adresse.</translation>
    </message>
    <message>
        <source>Connecting to {place} is not allowed here; a firewall may stand in the way.</source>
        <translation>Die Verbindung zu {place} ist hier nicht erlaubt; vielleicht steht eine Firewall im Weg.</translation>
    </message>
    <message>
        <source>Nothing arrives at port {port}; start the sender and let it send MPEG-TS to this computer.</source>
        <translation>An Port {port} kommt nichts an; starten Sie den Sender und lassen Sie ihn MPEG-TS an diesen Rechner schicken.</translation>
    </message>
    <message>
        <source>Another program listens at {place}; close it or choose another port.</source>
        <translation>Ein anderes Programm lauscht an {place}; schließen Sie es oder wählen Sie einen anderen Port.</translation>
    </message>
    <message>
        <source>{host} is no address of this computer; write udp://@:{port} to listen everywhere.</source>
        <translation>{host} ist keine Adresse dieses Rechners; schreiben Sie udp://@:{port}, um überall zu lauschen.</translation>
    </message>
    <message>
        <source>Listening at {place} is not allowed here; choose a port above 1023.</source>
        <translation>An {place} zu lauschen ist hier nicht erlaubt; wählen Sie einen Port über 1023.</translation>
    </message>
    <message>
        <source>Listening at {place} does not work ({reason}); check the network.</source>
        <translation>An {place} zu lauschen geht nicht ({reason}); prüfen Sie das Netz.</translation>
    </message>
    <message>
        <source>{place} sends nothing; see whether the sender still runs.</source>
        <translation>{place} sendet nichts; sehen Sie nach, ob der Sender noch läuft.</translation>
    </message>
    <message>
        <source>{place} holds no video; choose another address.</source>
        <translation>{place} enthält kein Video; wählen Sie eine andere Adresse.</translation>
    </message>
    <message>
        <source>{place} ended; see whether the sender still runs.</source>
        <translation>{place} ist zu Ende; sehen Sie nach, ob der Sender noch läuft.</translation>
    </message>
    <message>
        <source>{place} broke off; see whether the sender still runs.</source>
        <translation>{place} ist abgebrochen; sehen Sie nach, ob der Sender noch läuft.</translation>
    </message>
    <message>
        <source>{place} closed the connection; see whether the sender still runs.</source>
        <translation>{place} hat die Verbindung beendet; sehen Sie nach, ob der Sender noch läuft.</translation>
    </message>
    <message>
        <source>{place} wants a name and a password; write rtsp://NAME:PASSWORD@HOST/STREAM.</source>
        <translation>{place} verlangt Namen und Passwort; schreiben Sie rtsp://NAME:PASSWORD@HOST/STREAM.</translation>
    </message>
    <message>
        <source>{place} is not there: the computer answers but has no such stream; check the name.</source>
        <translation>{place} gibt es nicht: Der Rechner antwortet, hat aber keinen solchen Strom; prüfen Sie den Namen.</translation>
    </message>
    <message>
        <source>{place} sends no video that can be read; check what is sent there.</source>
        <translation>{place} sendet kein lesbares Video; prüfen Sie, was dort gesendet wird.</translation>
    </message>
    <message>
        <source>{place} sends something that is not OpenIGTLink; check the port and what sends there.</source>
        <translation>{place} sendet etwas, das nicht OpenIGTLink ist; prüfen Sie den Port und was dort sendet.</translation>
    </message>
    <message>
        <source>{place} sends no pictures of the name {device}; start the sending there or look at the network.</source>
        <translation>{place} sendet keine Bilder mit dem Namen {device}; starten Sie dort das Senden oder sehen Sie nach dem Netz.</translation>
    </message>
    <message>
        <source>{place} sends no pictures; start the sending there or look at the network.</source>
        <translation>{place} sendet keine Bilder; starten Sie dort das Senden oder sehen Sie nach dem Netz.</translation>
    </message>
    <message>
        <source>{device} sends volumes, not pictures; choose a device with pictures by ?device=NAME in the address.</source>
        <translation>{device} sendet Volumen statt Bilder; wählen Sie ein Gerät mit Bildern durch ?device=NAME in der Adresse.</translation>
    </message>
    <message>
        <source>{title} is live and cannot be sought; record it and open the recording.</source>
        <translation>In {title} lässt sich nicht springen, denn sie ist live; nehmen Sie sie auf und öffnen Sie die Aufnahme.</translation>
    </message>
    <message>
        <source>{title} was closed before its first picture came.</source>
        <translation>{title} wurde geschlossen, bevor ein Bild kam.</translation>
    </message>
    <message>
        <source>{title} stopped working; the log has the details.</source>
        <translation>{title} arbeitet nicht mehr; Näheres steht im Protokoll.</translation>
    </message>
    <message>
        <source>The Clarius probe at {place} does not let Puncta in; start the Clarius App, join the probe's network, allow Cast there, and use the Cast release that belongs to the App.</source>
        <translation>Der Clarius-Schallkopf unter {place} lässt Puncta nicht ein; starten Sie die Clarius-App, treten Sie dem Netz des Schallkopfs bei, erlauben Sie dort Cast und verwenden Sie die Cast-Ausgabe, die zur App gehört.</translation>
    </message>
    <message>
        <source>The Clarius probe at {place} sends no picture; start imaging in the Clarius App, and let the firewall accept what comes to Puncta by UDP (the port is another one each time).</source>
        <translation>Der Clarius-Schallkopf unter {place} sendet kein Bild; starten Sie in der Clarius-App die Bildgebung und lassen Sie die Firewall durch, was per UDP zu Puncta kommt (der Port ist jedes Mal ein anderer).</translation>
    </message>
    <message>
        <source>The Clarius probe is frozen; press its button or Freeze in the Clarius App to go on.</source>
        <translation>Der Clarius-Schallkopf ist eingefroren; drücken Sie seinen Knopf oder Freeze in der Clarius-App, um weiterzumachen.</translation>
    </message>
    <message>
        <source>The Clarius library does not start; install the Cast release for this computer again.</source>
        <translation>Die Clarius-Bibliothek startet nicht; installieren Sie die Cast-Ausgabe für diesen Rechner noch einmal.</translation>
    </message>
    <message>
        <source>The Clarius library is not of version {version}, which Puncta knows; install the Cast release that belongs to your Clarius App.</source>
        <translation>Die Clarius-Bibliothek hat nicht die Version {version}, die Puncta kennt; installieren Sie die Cast-Ausgabe, die zu Ihrer Clarius-App gehört.</translation>
    </message>
    <message>
        <source>The Clarius library is not of version {version}, which Puncta knows; install the Cast release that belongs to your Clarius App (this one is for firmware {firmware}).</source>
        <translation>Die Clarius-Bibliothek hat nicht die Version {version}, die Puncta kennt; installieren Sie die Cast-Ausgabe, die zu Ihrer Clarius-App gehört (diese ist für Firmware {firmware}).</translation>
    </message>
    <message>
        <source>The Clarius library {file} cannot be loaded ({reason}); install the Cast release for this computer.</source>
        <translation>Die Clarius-Bibliothek {file} lässt sich nicht laden ({reason}); installieren Sie die Cast-Ausgabe für diesen Rechner.</translation>
    </message>
    <message>
        <source>The Clarius library in {folder} cannot be loaded ({reason}); install the Cast release for Python {version}.</source>
        <translation>Die Clarius-Bibliothek in {folder} lässt sich nicht laden ({reason}); installieren Sie die Cast-Ausgabe für Python {version}.</translation>
    </message>
    <message>
        <source>Clarius probes need the vendor's Cast library; put pyclariuscast and its files from github.com/clariusdev/cast (releases, Python {version}) into {folder}.</source>
        <translation>Clarius-Schallköpfe brauchen die Cast-Bibliothek des Herstellers; legen Sie pyclariuscast und die Dateien dazu von github.com/clariusdev/cast (releases, Python {version}) in {folder}.</translation>
    </message>
    <message>
        <source>The picture is black; see whether the machine is on and the right input is chosen.</source>
        <translation>Das Bild ist schwarz; sehen Sie nach, ob das Gerät an und der richtige Eingang gewählt ist.</translation>
    </message>
    <message>
        <source>The picture has not changed for {time} s; see whether the machine is frozen.</source>
        <translation>Das Bild hat sich seit {time} s nicht geändert; sehen Sie nach, ob das Gerät eingefroren ist.</translation>
    </message>
    <message>
        <source>What arrives is damaged; look at the cable, the network and the sender.</source>
        <translation>Was ankommt, ist beschädigt; sehen Sie nach Kabel, Netz und Sender.</translation>
    </message>
    <message>
        <source>Only {rate} pictures a second come, a moment ago {usual}; look at the cable and the network, or at the depth and rate chosen on the machine.</source>
        <translation>Es kommen nur {rate} Bilder je Sekunde, eben noch {usual}; sehen Sie nach Kabel und Netz oder nach Tiefe und Bildrate am Gerät.</translation>
    </message>
    <message>
        <source>The source sends {rate} pictures a second instead of {promised}; choose a smaller picture size or look at the cable and the network.</source>
        <translation>Die Quelle sendet {rate} statt {promised} Bilder je Sekunde; wählen Sie eine kleinere Bildgröße oder sehen Sie nach Kabel und Netz.</translation>
    </message>
    <message>
        <source>Fewer pictures come than a moment ago; look at the cable and the network.</source>
        <translation>Es kommen weniger Bilder als eben noch; sehen Sie nach Kabel und Netz.</translation>
    </message>
    <message>
        <source>The source stopped working; the log has the details.</source>
        <translation>Die Quelle arbeitet nicht mehr; Näheres steht im Protokoll.</translation>
    </message>
    <message>
        <source>{address} is not understood: {why}.</source>
        <translation>{address} ist nicht verständlich: {why}.</translation>
    </message>
    <message>
        <source>size is written as {size}</source>
        <translation>size schreibt man {size}</translation>
    </message>
    <message>
        <source>fps is a number of pictures a second, for example 30</source>
        <translation>fps ist eine Zahl von Bildern je Sekunde, zum Beispiel 30</translation>
    </message>
    <message>
        <source>format is a code of four letters, for example MJPG or YUYV</source>
        <translation>format ist ein Kürzel aus vier Buchstaben, zum Beispiel MJPG oder YUYV</translation>
    </message>
    <message>
        <source>a screen region is written as screen:x,y,w,h in pixels, for example screen:100,80,800,600</source>
        <translation>einen Bildschirmausschnitt schreibt man screen:x,y,w,h in Pixeln, zum Beispiel screen:100,80,800,600</translation>
    </message>
    <message>
        <source>{address} is too small; a screen region has at least 16 x 16 pixels.</source>
        <translation>{address} ist zu klein; ein Bildschirmausschnitt hat mindestens 16 x 16 Pixel.</translation>
    </message>
    <message>
        <source>{address} names no camera; write camera:0 for the first one ('puncta open --list' shows them).</source>
        <translation>{address} nennt keine Kamera; schreiben Sie camera:0 für die erste (‚puncta open --list‘ zeigt sie).</translation>
    </message>
    <message>
        <source>{address} names no computer; write {example}.</source>
        <translation>{address} nennt keinen Rechner; schreiben Sie {example}.</translation>
    </message>
    <message>
        <source>{address} names no probe; write {example} as the Clarius App shows it.</source>
        <translation>{address} nennt keinen Schallkopf; schreiben Sie {example}, wie die Clarius-App es zeigt.</translation>
    </message>
    <message>
        <source>{address} names no port; write udp://@:5000 to listen at port 5000.</source>
        <translation>{address} nennt keinen Port; schreiben Sie udp://@:5000, um an Port 5000 zu lauschen.</translation>
    </message>
    <message>
        <source>{address} has no port from 1 to {largest}; check the number.</source>
        <translation>{address} hat keinen Port von 1 bis {largest}; prüfen Sie die Zahl.</translation>
    </message>
    <message>
        <source>{address} has the unknown key {key}; there are {known}.</source>
        <translation>{address} hat den unbekannten Schlüssel {key}; es gibt {known}.</translation>
    </message>
    <message>
        <source>{address} is no address; write it as KIND://HOST:PORT.</source>
        <translation>{address} ist keine Adresse; schreiben Sie sie als KIND://HOST:PORT.</translation>
    </message>
    <message>
        <source>{address} is no live source; write camera:0, rtsp://, udp://, igtl://, clarius:// or screen:x,y,w,h.</source>
        <translation>{address} ist keine Live-Quelle; schreiben Sie camera:0, rtsp://, udp://, igtl://, clarius:// oder screen:x,y,w,h.</translation>
    </message>
    <message>
        <source>An address begins with camera:, rtsp://, udp://, igtl://, clarius:// or screen:.</source>
        <translation>Eine Adresse beginnt mit camera:, rtsp://, udp://, igtl://, clarius:// oder screen:.</translation>
    </message>
    <message>
        <source>{name} now teaches</source>
        <translation>{name} lehrt nun</translation>
    </message>
    <message>
        <source>{name} now sets thresholds</source>
        <translation>{name} setzt nun Schwellen</translation>
    </message>
    <message>
        <source>{name} is now held out</source>
        <translation>{name} wird nun zurückgehalten</translation>
    </message>
    <message>
        <source>Recordings of {count} machines ({names}) are mixed: it learns them all at once. The comparison shows each by itself.</source>
        <translation>Aufnahmen von {count} Geräten ({names}) sind gemischt: Es lernt alle zugleich. Der Vergleich zeigt jedes für sich.</translation>
    </message>
    <message>
        <source>This recipe sets thresholds on simulated infants in any case.</source>
        <translation>Dieses Rezept setzt Schwellen in jedem Fall an simulierten Säuglingen.</translation>
    </message>
    <message>
        <source>This recipe sets thresholds on simulated infants in any case; the frames of {names} are not used.</source>
        <translation>Dieses Rezept setzt Schwellen in jedem Fall an simulierten Säuglingen; die Bilder von {names} werden nicht gebraucht.</translation>
    </message>
    <message>
        <source>Nobody sets thresholds: they are set on simulated cines alone and may not fit this machine.</source>
        <translation>Niemand setzt Schwellen: Sie werden allein an simulierten Clips gesetzt und passen vielleicht nicht zu diesem Gerät.</translation>
    </message>
    <message>
        <source>Nobody sets thresholds: those of the model that it goes on from stay, at most made more careful, and how much of what is learnt is kept is tried on simulated cines alone.</source>
        <translation>Niemand setzt Schwellen: Die des Modells, von dem es ausgeht, bleiben, höchstens vorsichtiger gemacht, und wie viel vom Gelernten behalten wird, wird allein an simulierten Clips erprobt.</translation>
    </message>
    <message>
        <source>A role was left empty: {changes}. All others keep theirs.</source>
        <translation>Eine Aufgabe war unbesetzt: {changes}. Alle anderen behalten ihre.</translation>
    </message>
    <message>
        <source>{names} come first: this one begins when they have ended.</source>
        <translation>Zuerst kommen {names}: Dieses beginnt, wenn sie zu Ende sind.</translation>
    </message>
    <message>
        <source>{name} comes first: this one begins when that has ended.</source>
        <translation>Zuerst kommt {name}: Dieses beginnt, wenn das zu Ende ist.</translation>
    </message>
    <message>
        <source>{name} comes first: this one begins when that has ended, in about {time}.</source>
        <translation>Zuerst kommt {name}: Dieses beginnt, wenn das zu Ende ist, in etwa {time}.</translation>
    </message>
    <message>
        <source>{names} is under way in another window of the program: this one does not wait for that, and both take longer.</source>
        <translation>{names} läuft in einem anderen Fenster des Programms: Dieses wartet nicht darauf, und beide dauern länger.</translation>
    </message>
    <message>
        <source>{names} are under way in other windows of the program: this one does not wait for them, and all take longer.</source>
        <translation>{names} laufen in anderen Fenstern des Programms: Dieses wartet nicht auf sie, und alle dauern länger.</translation>
    </message>
    <message>
        <source>{name}, no. {number}</source>
        <translation>{name}, Nr. {number}</translation>
    </message>
    <message>
        <source>{count} frames, on {hidden} of them the tip is hidden</source>
        <translation>{count} Bilder, auf {hidden} davon ist die Spitze verborgen</translation>
    </message>
    <message>
        <source>{count} frames, and {drawn} with a drawn needle</source>
        <translation>{count} Bilder und {drawn} mit gezeichneter Nadel</translation>
    </message>
    <message>
        <source>Frames of your own data</source>
        <translation>Bilder Ihrer eigenen Daten</translation>
    </message>
    <message>
        <source>Simulated cines of the machines that Puncta knows, made to tune by; none of them is yours</source>
        <translation>Simulierte Clips der Geräte, die Puncta kennt, zum Einstellen gemacht; keiner davon ist Ihrer</translation>
    </message>
    <message>
        <source>Frames of your own recordings, with needles drawn into them</source>
        <translation>Bilder Ihrer eigenen Aufnahmen, mit hineingezeichneten Nadeln</translation>
    </message>
    <message>
        <source>{why} There is no checkpoint yet, so Resume begins it anew.</source>
        <translation>{why} Es gibt noch keinen Zwischenstand, Fortsetzen beginnt es daher von vorn.</translation>
    </message>
    <message>
        <source>There is no checkpoint yet, so Resume begins it anew.</source>
        <translation>Es gibt noch keinen Zwischenstand, Fortsetzen beginnt es daher von vorn.</translation>
    </message>
    <message>
        <source>Paused.</source>
        <translation>Angehalten.</translation>
    </message>
    <message>
        <source>It has stopped.</source>
        <translation>Es hat aufgehört.</translation>
    </message>
    <message>
        <source>Its process was ended from outside.</source>
        <translation>Sein Prozess wurde von außen beendet.</translation>
    </message>
    <message>
        <source>Its process ended before it was done.</source>
        <translation>Sein Prozess endete, bevor es fertig war.</translation>
    </message>
    <message>
        <source>It ended with status {status}.</source>
        <translation>Es endete mit Status {status}.</translation>
    </message>
    <message>
        <source>The disk is full, so the training has stopped; make room.</source>
        <translation>Der Datenträger ist voll, daher hat das Training aufgehört; schaffen Sie Platz.</translation>
    </message>
    <message>
        <source>Something went wrong inside Puncta; this is our fault. The details are in {file}.</source>
        <translation>In Puncta ist etwas schiefgegangen; das ist unser Fehler. Näheres steht in {file}.</translation>
    </message>
    <message>
        <source>{file} is cut off: it ends at {time} of {whole} s, get a complete copy.</source>
        <translation>{file} ist abgeschnitten: Nach {time} von {whole} s ist Schluss; besorgen Sie eine vollständige Kopie.</translation>
    </message>
    <message>
        <source>Figures, on tune frames, simulated ones among them</source>
        <translation>Zahlen, an Einstellbildern, darunter simulierte</translation>
    </message>
    <message>
        <source>Dataset</source>
        <translation>Datensatz</translation>
    </message>
    <message>
        <source>A hidden tip lies in a shadow or out of the plane: it has no place, and "no tip" would be wrong. Such frames teach nothing and are not judged; held out ones whose shaft is labelled are judged by that and not counted here.</source>
        <translation>Eine verborgene Spitze liegt im Schatten oder außerhalb der Ebene: Sie hat keinen Ort, und „keine Spitze“ wäre falsch. Solche Bilder lehren nichts und werden nicht beurteilt; zurückgehaltene, deren Schaft markiert ist, werden danach beurteilt und hier nicht mitgezählt.</translation>
    </message>
    <message>
        <source>Pausing…</source>
        <translation>Wird angehalten …</translation>
    </message>
    <message>
        <source>Cancelling…</source>
        <translation>Wird abgebrochen …</translation>
    </message>
    <message>
        <source>Removed {name}. The model it made stays.</source>
        <translation>{name} ist entfernt. Das Modell, das daraus wurde, bleibt.</translation>
    </message>
    <message>
        <source>Removed {name}.</source>
        <translation>{name} ist entfernt.</translation>
    </message>
    <message>
        <source>Its last checkpoint is kept until you remove it; Resume would go on from there.</source>
        <translation>Der letzte Zwischenstand bleibt, bis Sie es entfernen; Fortsetzen ginge von dort aus.</translation>
    </message>
    <message>
        <source>It was cancelled before its first checkpoint; nothing of it is used.</source>
        <translation>Es wurde vor dem ersten Zwischenstand abgebrochen; nichts davon wird verwendet.</translation>
    </message>
    <message>
        <source>Start it anew</source>
        <translation>Von vorn beginnen</translation>
    </message>
    <message>
        <source>Goes on from {model}, which is not in use.</source>
        <translation>Geht von {model} aus, das nicht in Gebrauch ist.</translation>
    </message>
    <message>
        <source>{frames} of {clips} and {subjects} that the new model has not learnt from.</source>
        <translation>{frames} aus {clips} und von {subjects}: Das neue Modell hat nicht daraus gelernt.</translation>
    </message>
    <message>
        <source>{frames} of {clips}; no subject is stated.</source>
        <translation>{frames} aus {clips}; keine Person ist angegeben.</translation>
    </message>
    <message>
        <source>{frames} of {clips}, held out by case.</source>
        <translation>{frames} aus {clips}, nach Fällen zurückgehalten.</translation>
    </message>
    <message>
        <source>1 frame</source>
        <translation>1 Bild</translation>
    </message>
    <message>
        <source>1 clip</source>
        <translation>1 Clip</translation>
    </message>
    <message>
        <source>{count} clips</source>
        <translation>{count} Clips</translation>
    </message>
    <message>
        <source>tip within 5 % of the side</source>
        <translation>Spitze innerhalb von 5 % der Seite</translation>
    </message>
    <message>
        <source>tip there or not, AUC</source>
        <translation>Spitze da oder nicht, AUC</translation>
    </message>
    <message>
        <source>frames judged</source>
        <translation>beurteilte Bilder</translation>
    </message>
    <message>
        <source>labelled frames of the site that it learnt from</source>
        <translation>markierte Bilder des Standorts, aus denen es gelernt hat</translation>
    </message>
    <message>
        <source>usefulness: close tips that are shown, less what false alarms cost</source>
        <translation>Nutzen: gezeigte nahe Spitzen, abzüglich dessen, was Fehlalarme kosten</translation>
    </message>
    <message>
        <source>usefulness, every frame alone</source>
        <translation>Nutzen, jedes Bild für sich</translation>
    </message>
    <message>
        <source>usefulness on a sample, every frame alone</source>
        <translation>Nutzen an einer Stichprobe, jedes Bild für sich</translation>
    </message>
    <message>
        <source>usefulness on a sample, with the filter</source>
        <translation>Nutzen an einer Stichprobe, mit dem Filter</translation>
    </message>
    <message>
        <source>tips that are shown</source>
        <translation>gezeigte Spitzen</translation>
    </message>
    <message>
        <source>close, of those shown</source>
        <translation>nahe, von den gezeigten</translation>
    </message>
    <message>
        <source>carried on by the filter, of those shown</source>
        <translation>vom Filter weitergeführt, von den gezeigten</translation>
    </message>
    <message>
        <source>false alarms, of frames without a tip</source>
        <translation>Fehlalarme, von Bildern ohne Spitze</translation>
    </message>
    <message>
        <source>frames without a tip on which one is shown</source>
        <translation>Bilder ohne Spitze, auf denen eine gezeigt wird</translation>
    </message>
    <message>
        <source>angle error, median</source>
        <translation>Fehler des Winkels, Median</translation>
    </message>
    <message>
        <source>depth error, median</source>
        <translation>Fehler der Tiefe, Median</translation>
    </message>
    <message>
        <source>radius of the circle around a tip, median</source>
        <translation>Radius des Kreises um eine Spitze, Median</translation>
    </message>
    <message>
        <source>tips in their 90 % circle</source>
        <translation>Spitzen in ihrem 90-%-Kreis</translation>
    </message>
    <message>
        <source>tips in their circle</source>
        <translation>Spitzen in ihrem Kreis</translation>
    </message>
    <message>
        <source>frames called unfamiliar</source>
        <translation>als unvertraut bezeichnete Bilder</translation>
    </message>
    <message>
        <source>familiar pictures called unfamiliar</source>
        <translation>vertraute Bilder, als unvertraut bezeichnet</translation>
    </message>
    <message>
        <source>familiar pictures of other looks called unfamiliar</source>
        <translation>vertraute Bilder anderen Aussehens, als unvertraut bezeichnet</translation>
    </message>
    <message>
        <source>pictures of the site called unfamiliar</source>
        <translation>Bilder des Standorts, als unvertraut bezeichnet</translation>
    </message>
    <message>
        <source>stills of other organs called unfamiliar</source>
        <translation>Standbilder anderer Organe, als unvertraut bezeichnet</translation>
    </message>
    <message>
        <source>simulated pictures of other organs called unfamiliar</source>
        <translation>simulierte Bilder anderer Organe, als unvertraut bezeichnet</translation>
    </message>
    <message>
        <source>frames called no ultrasound</source>
        <translation>Bilder, als kein Ultraschall bezeichnet</translation>
    </message>
    <message>
        <source>threshold for showing a tip raised by, in log odds</source>
        <translation>Schwelle für das Zeigen einer Spitze erhöht um, in Log-Odds</translation>
    </message>
    <message>
        <source>circles widened, times</source>
        <translation>Kreise geweitet, Faktor</translation>
    </message>
    <message>
        <source>kept of what was learnt</source>
        <translation>behalten vom Gelernten</translation>
    </message>
    <message>
        <source>tips shown within 2 mm, machines known before</source>
        <translation>innerhalb von 2 mm gezeigte Spitzen, vorher bekannte Geräte</translation>
    </message>
    <message>
        <source>false alarms, machines known before</source>
        <translation>Fehlalarme, vorher bekannte Geräte</translation>
    </message>
    <message>
        <source>overlap of the mask (IoU), machines known before</source>
        <translation>Überdeckung der Maske (IoU), vorher bekannte Geräte</translation>
    </message>
    <message>
        <source>loss at the site</source>
        <translation>Loss am Standort</translation>
    </message>
    <message>
        <source>overlap of the mask (IoU), this site</source>
        <translation>Überdeckung der Maske (IoU), dieser Standort</translation>
    </message>
    <message>
        <source>overlap of the mask (IoU)</source>
        <translation>Überdeckung der Maske (IoU)</translation>
    </message>
    <message>
        <source>overlap of shown masks (IoU)</source>
        <translation>Überdeckung gezeigter Masken (IoU)</translation>
    </message>
    <message>
        <source>needles that are shown</source>
        <translation>gezeigte Nadeln</translation>
    </message>
    <message>
        <source>masks where there is no needle</source>
        <translation>Masken, wo keine Nadel ist</translation>
    </message>
    <message>
        <source>flags, F1</source>
        <translation>Merkmale, F1</translation>
    </message>
    <message>
        <source>frames with all flags right</source>
        <translation>Bilder mit lauter richtigen Merkmalen</translation>
    </message>
    <message>
        <source>flags decided</source>
        <translation>entschiedene Merkmale</translation>
    </message>
    <message>
        <source>flags withheld by the filter</source>
        <translation>vom Filter zurückgehaltene Merkmale</translation>
    </message>
    <message>
        <source>wrong among the decided, with the filter</source>
        <translation>falsch unter den entschiedenen, mit dem Filter</translation>
    </message>
    <message>
        <source>changes of a flag a minute</source>
        <translation>Wechsel eines Merkmals je Minute</translation>
    </message>
    <message>
        <source>changes of a flag a minute, every frame alone</source>
        <translation>Wechsel eines Merkmals je Minute, jedes Bild für sich</translation>
    </message>
    <message>
        <source>heat maps that point right</source>
        <translation>Wärmekarten, die richtig zeigen</translation>
    </message>
    <message>
        <source>level that keeps its risk on a machine left out</source>
        <translation>Stufe, die ihr Risiko an einem ausgelassenen Gerät hält</translation>
    </message>
    <message>
        <source>8-bit variant: speed, times that of the full one</source>
        <translation>8-Bit-Variante: Geschwindigkeit, Vielfaches der vollen</translation>
    </message>
    <message>
        <source>8-bit variant: change of AP50</source>
        <translation>8-Bit-Variante: Änderung der AP50</translation>
    </message>
    <message>
        <source>8-bit variant: change of the tip error</source>
        <translation>8-Bit-Variante: Änderung der Fehler der Spitze</translation>
    </message>
    <message>
        <source>8-bit variant: largest deviation of its answers</source>
        <translation>8-Bit-Variante: größte Abweichung ihrer Antworten</translation>
    </message>
    <message>
        <source>simulated pictures</source>
        <translation>simulierte Bilder</translation>
    </message>
    <message>
        <source>needles in stills</source>
        <translation>Nadeln in Standbildern</translation>
    </message>
    <message>
        <source>other looks</source>
        <translation>anderes Aussehen</translation>
    </message>
    <message>
        <source>breast</source>
        <translation>Brust</translation>
    </message>
    <message>
        <source>stills without a needle</source>
        <translation>Standbilder ohne Nadel</translation>
    </message>
    <message>
        <source>wrong where this machine is left out</source>
        <translation>falsch, wo dieses Gerät ausgelassen ist</translation>
    </message>
    <message>
        <source>right answers</source>
        <translation>richtige Antworten</translation>
    </message>
    <message>
        <source>a method without learning</source>
        <translation>ein Verfahren ohne Lernen</translation>
    </message>
    <message>
        <source>before adapting</source>
        <translation>vor dem Anpassen</translation>
    </message>
    <message>
        <source>after it</source>
        <translation>danach</translation>
    </message>
    <message>
        <source>cells of the map</source>
        <translation>Felder der Karte</translation>
    </message>
    <message>
        <source>held out subjects</source>
        <translation>zurückgehaltene Personen</translation>
    </message>
    <message>
        <source>this site</source>
        <translation>dieser Standort</translation>
    </message>
    <message>
        <source>machines it knows</source>
        <translation>Geräte, die es kennt</translation>
    </message>
    <message>
        <source>machines new to it</source>
        <translation>Geräte, die ihm neu sind</translation>
    </message>
    <message>
        <source>tune frames</source>
        <translation>Einstellbilder</translation>
    </message>
    <message>
        <source>quality</source>
        <translation>Qualität</translation>
    </message>
    <message>
        <source>cord</source>
        <translation>Rückenmark</translation>
    </message>
    <message>
        <source>How it was made, in full</source>
        <translation>Wie es entstand, ausführlich</translation>
    </message>
    <message>
        <source>What was in use, and when</source>
        <translation>Was wann in Gebrauch war</translation>
    </message>
    <message>
        <source>Was in use</source>
        <translation>War in Gebrauch</translation>
    </message>
    <message>
        <source>{begin} to {end}</source>
        <translation>{begin} bis {end}</translation>
    </message>
    <message>
        <source>For {plugin}, the newest first; each was in use until the one above it.</source>
        <translation>Für {plugin}, das neueste zuerst; jedes war in Gebrauch, bis das darüber kam.</translation>
    </message>
    <message>
        <source>{plugin} uses the model that comes with Puncta: no other one is put in use.</source>
        <translation>{plugin} benutzt das Modell, das mit Puncta kommt: Kein anderes ist in Gebrauch genommen.</translation>
    </message>
    <message>
        <source>{plugin} uses the model that its plugin brings: no other one is put in use.</source>
        <translation>{plugin} benutzt das Modell, das sein Plugin mitbringt: Kein anderes ist in Gebrauch genommen.</translation>
    </message>
    <message>
        <source>{first}; and 1 other</source>
        <translation>{first}; und 1 weiteres</translation>
    </message>
    <message>
        <source>{first}; and {count} others</source>
        <translation>{first}; und {count} weitere</translation>
    </message>
    <message>
        <source>{name}, the last of {count} trainings in a row</source>
        <translation>{name}, das letzte von {count} Trainings in Folge</translation>
    </message>
</context>
</TS>
